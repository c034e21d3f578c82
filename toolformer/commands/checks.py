"""What `toolformer doctor` looks at: one function each, which tries a thing rather than asks whether it is there.

Nothing here changes anything, and nothing is downloaded.
"""

import contextlib
import os
import platform
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toolformer.errors import ToolTimeout, first_line
from toolformer.tool import Traits, tool
from toolformer.version import DISTRIBUTION

if TYPE_CHECKING:
    from concurrent.futures import Future

HUB_SECONDS = 4.0
"""How long the hub may take to answer."""
LEAST_GB = 1.0
"""Of disk and of memory: with less, not even the built-in model can be trained."""
_NAMED = ("torch", "transformers", "peft", "datasets")
"""The packages whose versions matter most; of the others, only how many they are."""
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+)(?:\[[\w,]+\])?(?:>=(?P<least>[\d.]+))?(?:\s*;\s*extra == ['"](?P<extra>\w+)['"])?"""
)
"""As this package asks for others; no more of what requirements can say. What their extras bring is not looked at."""
_PROMPT = "There are 8 boxes with 76 oranges in each, so there are"


@dataclass(frozen=True)
class Finding:
    """What came of one check."""

    name: str
    state: Literal["ok", "missing", "failed"]
    """`missing` is what most people can do without, `failed` what nobody can."""
    says: str
    advice: str = ""
    """The next step, where not all is well."""


def python() -> Iterator[Finding]:
    """The interpreter."""
    where = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.prefix}"
    if sys.version_info[:2] <= (3, 13):
        yield Finding("python", "ok", where)
    else:
        yield Finding("python", "missing", f"{where}: newer than what this was made for", "take 3.11, 3.12 or 3.13")


def packages() -> Iterator[Finding]:
    """What is installed of what this package asks for, and of its extras."""
    try:
        metadata = distribution(DISTRIBUTION).metadata
    except PackageNotFoundError:
        yield Finding("packages", "failed", "toolformer itself is not installed", f"pip install {DISTRIBUTION}")
        return
    wanted = [one for line in metadata.get_all("Requires-Dist") or () if (one := _REQUIREMENT.fullmatch(line))]
    extras = [extra for extra in metadata.get_all("Provides-Extra") or () if extra != "dev"]
    for extra in (None, *extras):
        yield _installed({one["name"]: one["least"] or "0" for one in wanted if one["extra"] == extra}, extra)


def _installed(wanted: Mapping[str, str], extra: str | None) -> Finding:
    name = f"extra {extra}" if extra else "packages"
    problems, there, needed = [], {}, []
    for package, least in wanted.items():
        try:
            there[package] = version(package)
        except PackageNotFoundError:
            problems.append(f"{package} is not installed")
        else:
            if _numbers(there[package]) >= _numbers(least):
                continue
            problems.append(f"{package} {there[package]} is not >={least}")
        needed.append(f"'{package}>={least}'")
    if problems:
        install = f"'{DISTRIBUTION}[{extra}]'" if extra else " ".join(needed)
        return Finding(name, "missing" if extra else "failed", "; ".join(problems), f"pip install {install}")
    shown = [package for package in there if extra or package in _NAMED]
    others = len(there) - len(shown)
    says = ", ".join(f"{package} {there[package]}" for package in shown) + (f", and {others} more" if others else "")
    return Finding(name, "ok", says)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def device() -> Iterator[Finding]:
    """Where a model runs, in which precision, and what else would be possible there."""
    import torch

    from toolformer.hf.precision import cpu_has_bf16, device_of

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        says = f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free; "
        yield Finding("device", "ok", f"{says}weights in the precision of the checkpoint")
    elif shutil.which("nvidia-smi") and not torch.version.cuda:
        says = f"an NVIDIA GPU may be here, but torch {torch.__version__} is built for CPUs; float32"
        yield Finding("device", "missing", says, "install a CUDA build of torch: https://pytorch.org/get-started")
    else:
        half = ", or in bfloat16 where the checkpoint is of half precision" if cpu_has_bf16() else ""
        kind = "an Apple GPU" if device_of("auto") == "mps" else f"CPU, {torch.get_num_threads()} threads"
        yield Finding("device", "ok", f"{kind}; weights in float32{half}")
    yield _tried("bf16", _multiply, "bfloat16 is computed; train takes it on GPUs, elsewhere with --precision bf16")
    yield _tried("quantize", _quantize, "int8 and nf4")


def _tried(name: str, use: Callable[[], None], says: str) -> Finding:
    try:
        use()
    except Exception as error:  # noqa: BLE001 - what does not work on a machine says so in any way
        why = f"not possible here: {type(error).__name__}: {first_line(error)}"
        return Finding(name, "missing", why, "do without: float32 works everywhere")
    return Finding(name, "ok", says)


def _multiply() -> None:
    import torch

    gpu = torch.cuda.is_available()
    if gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise RuntimeError(f"{torch.cuda.get_device_name()} has no bfloat16")
    one = torch.ones(8, 8, dtype=torch.bfloat16, device="cuda" if gpu else "cpu")
    if (one @ one).sum().item() != 512:
        raise ArithmeticError("8 x 8 ones, multiplied, are wrong")


def _quantize() -> None:
    import toolformer.hf  # noqa: F401 - first, since it silences what bitsandbytes says when it is imported

    # isort: split
    import torch
    from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_quant, quantize_4bit

    some = torch.linspace(-1, 1, 4096, device="cuda" if torch.cuda.is_available() else "cpu").reshape(64, 64)
    packed, state = quantize_4bit(some, quant_type="nf4")
    if (dequantize_4bit(packed, state) - some).abs().max().item() > 0.2:
        raise ArithmeticError("weights that were packed into 4 bits come back wrong")
    int8_vectorwise_quant(some.half())


def hub() -> Iterator[Finding]:
    """Whether models and data can be fetched."""
    from huggingface_hub import constants, is_offline_mode

    from toolformer.reach import Asked

    if is_offline_mode():
        says = "not asked: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; models come from the cache alone"
        yield Finding("hub", "ok", says)
        return
    problem = _problem(Asked().status)
    if problem:
        advice = "models by path and builtin work without; behind a proxy set $HTTPS_PROXY, or $HF_ENDPOINT to a mirror"
        yield Finding("hub", "missing", f"{constants.ENDPOINT} cannot be reached: {problem}", advice)
    else:
        yield Finding("hub", "ok", f"{constants.ENDPOINT} answers")


def _problem(status: "Future[int]") -> str:
    """What is wrong with the hub, if anything, by its answer's status."""
    try:
        error = status.exception(HUB_SECONDS)
    except TimeoutError:
        return f"no answer within {HUB_SECONDS:g} s"
    if error is not None:
        return first_line(error)
    return f"it answers with HTTP {status.result()}" if status.result() >= 500 else ""


@tool(name="Probe", traits=Traits(seconds=0.5))
def _probe(text: str) -> str:
    """Say which process this is, or never answer."""
    if text == "who":
        return str(os.getpid())
    threading.Event().wait()
    return ""


def sandbox() -> Iterator[Finding]:
    """Whether a tool runs in a process of its own, and is killed at its time limit."""
    from toolformer.toolbox import Toolbox

    with Toolbox([_probe]) as box:
        process = int(box.run("Probe", "who"))
        with contextlib.suppress(ToolTimeout):
            box.run("Probe", "for ever")
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            yield Finding("sandbox", "ok", "tools run in worker processes, and are killed at their time limit")
            return
    says = f"the worker process {process} lived on behind its time limit"
    yield Finding("sandbox", "failed", says, "use none but the tools of the package on this system")


def model() -> Iterator[Finding]:
    """Whether the model that comes with the package is there, loads, and goes on from a text."""
    from toolformer.model import Toolformer

    with Toolformer.from_pretrained("builtin-tools") as toolformer:
        made = toolformer.generate(_PROMPT, max_new_tokens=2)
    calls = ", ".join(f"{call.tool}({call.input})" for call in made.calls) or "no call"
    if made.text.strip():
        yield Finding("model", "ok", f"builtin-tools answers: {_PROMPT} {made.text.strip()} ({calls})")
    else:
        yield Finding("model", "failed", "builtin-tools says nothing", "install toolformer again")


def room() -> Iterator[Finding]:
    """Disk where one stands and where models are kept, and memory."""
    from huggingface_hub import constants

    places = (
        ("disk", Path.cwd(), "write elsewhere: every command that writes has --out"),
        ("cache", Path(constants.HF_HUB_CACHE), "name another folder with $HF_HOME"),
    )
    for name, path, elsewhere in places:
        there = next(one for one in (path, *path.parents) if one.exists())
        free = shutil.disk_usage(there).free / 2**30
        says = f"{free:.1f} GB free in {path}"
        if os.access(there, os.W_OK):
            yield _enough(name, free, says, elsewhere)
        else:
            yield Finding(name, "missing", f"{says}, which cannot be written", elsewhere)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = total if (known := free_memory()) is None else known / 2**30
    yield _enough("memory", free, f"{free:.1f} of {total:.1f} GB free", "end other programs")


def free_memory() -> int | None:
    """Bytes that programs could still take; None where the system, such as macOS, has no file that says so."""
    try:
        said = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(said[1]) * 1024 if said else None


def _enough(name: str, free: float, says: str, advice: str) -> Finding:
    if free >= LEAST_GB:
        return Finding(name, "ok", says)
    return Finding(name, "failed", f"{says}: too little, {LEAST_GB:g} GB is wanted", advice)


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": python,
    "packages": packages,
    "device": device,
    "room": room,
    "hub": hub,
    "sandbox": sandbox,
    "model": model,
}
"""In the order in which they are shown."""
