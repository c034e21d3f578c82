"""How much memory a model takes: counted without its weights, and measured where that fits."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_cli import status
from toolformer import footprint
from toolformer.commands import doctor
from toolformer.errors import ConfigError
from toolformer.footprint import Shape, footprints, shape_of
from toolformer.loading import Loading

SMALL = Shape("m", 1_000, 600, 10, 8, 2, 50, 40, {"fp32": 400, "bf16": 200})


def test_what_is_computed() -> None:
    assert [SMALL.computed(one, "load") for one in ("fp32", "bf16", "int8", "nf4")] == [4_000, 2_000, 1_400, 1_138]
    assert SMALL.computed("fp32", "read") == 4_000 + 4 * 50 + 200
    assert SMALL.computed("bf16", "read") == 2_000 + 2 * 50 + 100
    assert SMALL.computed("fp32", "train") == 4_000 + 400 + 160 + 640
    assert SMALL.computed("int8", "train") == 600 + 4 * 400 + 400 + 160 + 640


def test_the_shape_of_a_model_is_that_of_its_base_and_needs_no_weights() -> None:
    shape, source = shape_of("builtin-tools")
    assert (shape.name, source.name, shape.parameters) == ("builtin", "builtin", 3_601_920)
    # Six layers of four projections of 192 x 192 and three of 192 x 512.
    assert shape.packed == 6 * (4 * 192 * 192 + 3 * 192 * 512)
    assert shape.trained == 6 * 16 * (4 * 2 * 192 + 3 * (192 + 512))
    assert shape.cached == 2 * 6 * 192 * shape.tokens
    assert shape.kept["bf16"] < shape.kept["fp32"] < 200 * 2**20


def test_what_does_not_fit_is_computed_and_says_so() -> None:
    shape, source = shape_of("builtin")
    found = dict(footprints(shape, source, 10**6, Loading(device="cpu")))
    assert list(found) == ["fp32", "bf16", "int8", "nf4"]
    for precision, sizes in found.items():
        assert {use: size.bytes for use, size in sizes.items()} == {
            use: shape.computed(precision, use) for use in sizes
        }
        assert {size.why_computed for size in sizes.values()} == {"it may take more than the 0.0 GB that are free"}
    (_, unknown), *_ = footprints(shape, source, None, Loading(device="cpu"))
    assert unknown["load"].why_computed == "this system does not say what a process takes"


def test_weights_that_are_elsewhere_are_not_fetched(tmp_path: Path) -> None:
    shape, source = shape_of("builtin")
    elsewhere = type(source)("org/model", "org/model", None, offline=True)
    (_, sizes), *_ = footprints(shape, elsewhere, 10**12, Loading(device="cpu"))
    assert {size.why_computed for size in sizes.values()} == {"its weights are not on this machine"}


def test_what_fits_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "PRECISIONS", {"fp32": Loading(dtype="float32")})
    shape, source = shape_of("builtin")
    ((_, sizes),) = footprints(replace(shape, tokens=64), source, 10**12, Loading(device="cpu"))
    assert {size.why_computed for size in sizes.values()} == {""}
    assert 4 * shape.parameters < sizes["load"].bytes < sizes["read"].bytes < 2**30
    assert 4 * shape.parameters + 16 * shape.trained < sizes["train"].bytes < 2**30


def test_a_measurement_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, source = shape_of("builtin")
    broken = type(source)("./nowhere", source.place, None, offline=True)
    monkeypatch.setattr(footprint, "PRECISIONS", {"fp32": Loading(dtype="float32")})
    ((_, sizes),) = footprints(shape, broken, 10**12, Loading(device="cpu"))
    assert sizes["load"].why_computed.startswith("measuring failed: no model is called './nowhere'")


def test_doctor_shows_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "free_memory", lambda: 10**6)
    assert status("doctor", "--model", "builtin") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "builtin: 3,601,920 parameters, 2,654,208 of them in linear layers"
    assert lines[2].split() == ["load", "read", "train"]
    assert lines[3].startswith("fp32      ~13.7 MB")
    assert lines[3].endswith("   ~ it may take more than the 0.0 GB that are free")
    assert status("doctor", "--model", "builtin", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["memory"]["nf4"]["load"]["bytes"] < told["memory"]["bf16"]["load"]["bytes"]
    assert status("doctor", "--model", "./nowhere") == 2
    assert capsys.readouterr().err.startswith("toolformer: no model is called './nowhere'")


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}), "utf-8")
    with pytest.raises(ConfigError, match="is an encoder-decoder: memory is told of causal models"):
        shape_of(str(tmp_path))
