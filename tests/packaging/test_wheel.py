"""What `pip install` brings: every tracked file of the packages, one name in site-packages, a command that works."""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import cloudpickle
import pytest
from packaging.specifiers import SpecifierSet

import toolformer
from tests.packaging.conftest import build, tracked
from tests.packaging.test_imports import FOLDERS, ROOT


def test_the_wheel_holds_exactly_the_tracked_files(wheel: Path) -> None:
    expected = set()
    for name in tracked():
        for package, folder in FOLDERS.items():
            if name.startswith(f"{folder}/"):
                expected.add(f"{package.replace('.', '/')}/{name.removeprefix(f'{folder}/')}")
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == expected


def test_site_packages_gains_one_name_and_one_command(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    assert {name.split("/")[0] for name in packed.namelist() if ".dist-info/" not in name} == {"toolformer"}
    (entry,) = [name for name in packed.namelist() if name.endswith("entry_points.txt")]
    assert packed.read(entry).decode().split() == ["[console_scripts]", "toolformer", "=", "toolformer.cli:main"]
    assert "toolformer/py.typed" in packed.namelist()


def test_the_metadata_says_which_version_and_which_pythons(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    (name,) = [name for name in packed.namelist() if name.endswith("METADATA")]
    metadata = message_from_bytes(packed.read(name))
    assert metadata["Version"] == toolformer.__version__
    prefix = "Programming Language :: Python :: 3."
    named = [line.removeprefix(prefix) for line in metadata.get_all("Classifier", []) if line.startswith(prefix)]
    assert named == ["11", "12", "13"]
    asked = SpecifierSet(metadata["Requires-Python"])
    assert [minor for minor in range(8, 14) if f"3.{minor}" in asked] == [11, 12, 13]


def test_the_sdist_holds_what_a_user_needs_and_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    there = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file()}
    packages = tuple(f"{folder}/" for folder in FOLDERS.values())
    wanted = {name for name in tracked() if name.startswith((*packages, "docs/"))}
    wanted |= {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "constraints.txt", "pyproject.toml"}
    made = {name for name in there if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg", "MANIFEST.in"}
    assert there - made == wanted
    assert contents(build("wheel", source, tmp_path / "wheel")) == contents(wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    packed = zipfile.ZipFile(wheel)
    return {name: packed.read(name) for name in packed.namelist()}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_into_an_empty_environment_and_works_there(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Empty but for the dependencies, which are those of this environment; `make package` installs them, too."""
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    (site,) = fresh.glob("lib/python3.*/site-packages")
    # A path in a file counts for what lies there, and not for the editable install of this checkout beside it.
    (site / "dependencies.pth").write_text(f"{Path(cloudpickle.__file__).parents[1]}\n")
    python = str(fresh / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, str(request.getfixturevalue(kind))], check=True, capture_output=True)
    smoke = ROOT / "tests" / "packaging" / "smoke.py"
    done = subprocess.run([python, "-P", str(smoke)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"toolformer {toolformer.__version__} works in {fresh}" in done.stdout
