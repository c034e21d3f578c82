"""In which precision and on which device a model is loaded, if nobody says."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny_models
from toolformer.hf import load, precision
from toolformer.hf.precision import cpu_has_bf16, device_of, dtype_of

F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16


@pytest.mark.parametrize(
    ("own", "has_bf16", "shipped", "chosen"),
    [
        (BF16, True, False, BF16),
        (F16, True, False, BF16),
        (F32, True, False, F32),
        (None, True, False, F32),
        (BF16, False, False, F32),
        (BF16, True, True, F32),
    ],
)
def test_auto_on_a_cpu(
    own: torch.dtype | None, has_bf16: bool, shipped: bool, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has_bf16)
    assert dtype_of("auto", "cpu", own, shipped=shipped) == chosen
    assert dtype_of("auto", "cuda:1", own, shipped=shipped) == "auto"
    assert dtype_of("float16", "cpu", own, shipped=shipped) == F16


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 fma", True),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f avx512_fp16", False),
        ("model name\t: bf16", False),
    ],
)
def test_a_cpu_that_has_bf16(line: str, has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: f"processor\t: 0\n{line}\n")
    assert cpu_has_bf16.__wrapped__() is has


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert cpu_has_bf16.__wrapped__() is False


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_is_a_gpu_also_apples(cuda: bool, mps: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device_of("auto") == chosen


def test_loading_takes_what_the_checkpoint_and_the_cpu_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    network: Any = copy.deepcopy(tiny_models.model("llama"))
    for dtype, said in ((F32, "float32"), (BF16, "bfloat16")):
        folder = tmp_path / said
        network.to(dtype).save_pretrained(folder)
        tiny_models.tokenizer().save_pretrained(folder)
        model = load(str(folder))
        assert model.precision == said
        assert bool(model.rounding) == (said == "bfloat16")  # then what is in doubt is asked again, in fp32
    assert {load(name).precision for name in ("builtin", "builtin-tools")} == {"float32"}


def test_a_precision_in_words() -> None:
    packed = nn.ParameterList([nn.Parameter(torch.zeros(1, dtype=torch.uint8), requires_grad=False)])
    assert precision.precision(nn.ModuleList([packed, nn.Linear(1, 1).bfloat16()])) == "bfloat16+nf4"
