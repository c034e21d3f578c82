"""Where a model comes from, and which adapter goes on it: names are looked up here, and nothing is loaded."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from toolformer.errors import ConfigError, unknown_name
from toolformer.hf.adapter import SETTINGS, Adapter, find_adapter
from toolformer.hf.gguf_file import converted, gguf_of
from toolformer.hf.smollm2 import FOUR_BITS, SMOLLM2, four_bits, which
from toolformer.loading import Loading
from toolformer.reach import is_path, out_of_reach

BUILTIN = "builtin"
_SHIPPED = {
    BUILTIN: "model",
    "builtin-tools": "tools_adapter",
    "smollm2-tools": "smollm2_adapter",
    "smollm2-reader": "smollm2_reader",
}
"""What comes with the package: folders of `toolformer.builtin`. The last one is an expert."""
OWN = (*_SHIPPED, SMOLLM2, FOUR_BITS)
"""Names that mean the same wherever this package is installed."""


@dataclass(frozen=True)
class Source:
    """Where the files of a model come from."""

    name: str
    place: str
    """What transformers is given: a folder, or a name of the hub."""
    revision: str | None
    offline: bool

    @property
    def shipped(self) -> bool:
        """Whether it comes with the package."""
        return self.name in _SHIPPED


def find(name: str, loading: Loading) -> tuple[Source, Adapter | None]:
    """The model to be loaded, which for the name of an adapter is its base model; and the adapter."""
    name, place = placed(name, offline=loading.offline)
    other = None if loading.adapter is None else placed(loading.adapter, offline=loading.offline)[1]
    offline = loading.offline or out_of_reach(place, other)
    found = find_adapter(place, loading.revision, offline=offline)
    if found is None:
        if other is not None and (found := find_adapter(other, offline=offline)) is None:
            raise ConfigError(f"{loading.adapter} is no adapter for this model: no {SETTINGS} is there, or can be had")
        return Source(name, place, loading.revision, offline), found
    base = base_of(found)
    if loading.adapter is not None:
        raise ConfigError(f"{name} is itself an adapter: put {loading.adapter} on its base model, {base}")
    # What was asked for is a revision of what was named, and a folder has none.
    revision = found.base_revision if found.fetched else loading.revision or found.base_revision
    base, place = placed(base, offline=loading.offline)
    offline = offline or (not found.fetched and out_of_reach(place))
    if find_adapter(place, revision, offline=offline) is not None:
        raise ConfigError(f"{name} is an adapter for {base}, which is itself an adapter: one on one cannot be loaded")
    return Source(base, place, revision, offline), found


def folder_of(name: str, loading: Loading) -> Path | None:
    """The folder that a name means, which is the adapter's where one is named; None for a name of the hub."""
    _, place = placed(loading.adapter or name, offline=loading.offline)
    return Path(place) if Path(place).is_dir() else None


def lasting(name: str) -> str:
    """The name such that it means the same from any folder: the whole path of what is here, but names of our own stay.
    A folder that happens to be called `builtin` is meant by ./builtin alone, whoever is asked."""
    return str(Path(name).resolve()) if name not in OWN and Path(name).exists() else name


def public(name: str) -> str:
    """The name as others may read it: what lies on this machine is called as its folder is, wherever that lies."""
    return Path(name).resolve().name if name not in OWN and is_path(name) else name


def base_of(adapter: Adapter) -> str:
    """The name or path of the model that an adapter is for.

    Anybody can have written the settings of one from the hub: they may name another of the hub or one of our own, and
    no file or folder of this machine.
    """
    named, with_another = adapter.named, f"load that model with adapter={adapter.name!r}"
    if not named:
        raise ConfigError(f"the adapter {adapter.name} does not name its base model: {with_another}")
    if not adapter.fetched or named in OWN:
        return named
    shown = repr(named if len(named) <= 100 else named[:100] + "…")
    try:
        validate_repo_id(named)
    except HFValidationError:
        raise ConfigError(
            f"the adapter {adapter.name} names as its base model {shown}, which is no name of the hub: if you have it, "
            f"{with_another}"
        ) from None
    if is_path(named):
        raise ConfigError(
            f"the adapter {adapter.name} names as its base model {shown}, which is here a file or folder of that name: "
            f"if it is meant, {with_another}; or else run this in another folder"
        )
    return named


def placed(name: str, *, offline: bool = False) -> tuple[str, str]:
    """The name of what is meant, which for `smollm2` is one of two; and what transformers is given: a folder for what
    is local, or else the name."""
    if name == SMOLLM2:
        name = which(offline=offline)
    if name == FOUR_BITS:
        return name, str(four_bits(offline=offline))
    if name in _SHIPPED:
        folder = Path(str(resources.files("toolformer.builtin"))) / _SHIPPED[name]
        if not folder.is_dir():
            raise ConfigError(f"this installation lacks the model {name}: reinstall toolformer, or name another model")
        return name, str(folder)
    gguf = gguf_of(name)
    if gguf is None and name.lower().endswith(".gguf"):
        raise ConfigError(no_model(name, name))
    return name, name if gguf is None else str(converted(gguf))


def no_model(name: str, place: str) -> str:
    """The message for a name that nobody has."""
    return unknown_name("model", name, _known(place))


def _known(place: str) -> set[str]:
    """What could have been meant: names of our own, what lies beside the named one, and models in the hub's cache."""
    beside = Path(place).expanduser().parent
    local = {str(beside / config.parent.name) for config in beside.glob("*/*config.json")}
    if is_path(place) or place.lower().endswith(".gguf"):
        local |= {str(file) for file in beside.glob("*.gguf")}
    try:
        cached = {repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model"}
    except CacheNotFound:
        cached = set()
    return {*OWN} | local | cached
