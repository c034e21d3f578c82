"""What `pip install .` brings: every tracked file of the packages, one name in site-packages, one command."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.test_imports import FOLDERS, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of the tracked files alone, as a fresh clone would build it."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        ".",
    ]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_the_wheel_holds_exactly_the_tracked_files(wheel: zipfile.ZipFile) -> None:
    expected = set()
    for name in tracked():
        for package, folder in FOLDERS.items():
            if name.startswith(f"{folder}/"):
                expected.add(f"{package.replace('.', '/')}/{name.removeprefix(f'{folder}/')}")
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_site_packages_gains_one_name_and_one_command(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == {"toolformer"}
    (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert wheel.read(entry).decode().split() == ["[console_scripts]", "toolformer", "=", "toolformer.cli:main"]
    assert "toolformer/py.typed" in wheel.namelist()


def test_the_wheel_works_outside_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    use = "from toolformer.tools.calculator import Calculator; print(Calculator()('400 / 1400'))"
    code = f"import toolformer; print(toolformer.__file__); {use}"
    done = subprocess.run(
        [sys.executable, "-P", "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{Path(zipfile.__file__).parent}:{_site_packages()}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "toolformer" / "__init__.py"), "0.29"]


def _site_packages() -> str:
    import cloudpickle

    return str(Path(cloudpickle.__file__).parents[1])
