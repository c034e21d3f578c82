"""The folder that holds a search index: its manifest, and why it can be trusted.

    manifest.json      what was indexed, with which model, and the size and SHA-256 of every other file
    passages.jsonl     the passages, one {"title", "text"} a line
    offsets.npy        where each of those lines begins, and where the last one ends
    bm25.*             words and their weights (kind "bm25"), or
    vectors.f32        one unit vector a passage (kind "dense"): rows of little-endian float32, nothing else

The manifest is written last, so a folder without one is not finished. Nothing in here is a pickle.
"""

import dataclasses
import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolformer.errors import DataError
from toolformer.own_json import made_of, read_own
from toolformer.whole_file import sync, whole_file

log = logging.getLogger("toolformer")

FORMAT = 1
MANIFEST, PASSAGES, OFFSETS, VECTORS = "manifest.json", "passages.jsonl", "offsets.npy", "vectors.f32"
BM25 = {  # the names that bm25s has for its files, and ours
    "data_name": "bm25.weights.npy",
    "indices_name": "bm25.postings.npy",
    "indptr_name": "bm25.starts.npy",
    "vocab_name": "bm25.words.json",
    "params_name": "bm25.parameters.json",
}


@dataclass(frozen=True)
class Plan:
    """What decides an index: two builds with equal plans give equal folders."""

    kind: Literal["bm25", "dense"]
    input_sha256: str
    model: str | None = None
    model_fingerprint: str | None = None
    dimension: int | None = None
    format: int = FORMAT

    def same_as(self, other: "Plan") -> bool:
        """Whether they agree in all but the model's name: a model may be moved."""
        return dataclasses.replace(self, model=None) == dataclasses.replace(other, model=None)


@dataclass(frozen=True)
class Seal:
    """The size and the hash of a finished file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a finished folder holds."""

    plan: Plan
    passages: int
    files: dict[str, Seal]

    @property
    def identity(self) -> str:
        """A short name for exactly this index."""
        return f"{self.plan.kind}-{hashlib.sha256(self.to_json().encode()).hexdigest()[:16]}"

    def to_json(self) -> str:
        """The text of the manifest file."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished index; a DataError says what the folder is instead."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: `toolformer index build` makes an index")
    if not path.exists():
        raise DataError(
            f"{folder} holds no finished index ({MANIFEST} is missing): run `toolformer index build` "
            "into it; a build that was stopped goes on where it was"
        )
    try:
        manifest = made_of(Manifest, read_own(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged or of another version ({error}); build the index anew in another folder"
        ) from error
    if manifest.plan.format != FORMAT:
        raise DataError(f"{folder} has index format {manifest.plan.format}, this is format {FORMAT}: build it anew")
    if odd := [name for name in manifest.files if Path(name).name != name]:
        raise DataError(f"{path} names a file outside its folder: {odd[0]!r}")
    of_kind = BM25.values() if manifest.plan.kind == "bm25" else [VECTORS]
    if missing := {PASSAGES, OFFSETS, *of_kind} - manifest.files.keys():
        raise DataError(f"{path} does not list {min(missing)}, so nothing could be checked: build the index anew")
    if manifest.passages < 1:
        raise DataError(f"{path} counts {manifest.passages} passages: build the index anew")
    return manifest


def check_files(folder: Path, manifest: Manifest, *, hashes: bool) -> None:
    """Refuse an index with a missing, truncated or (looking at the hashes) changed file.

    Sizes cost nothing and are looked at whenever an index is opened; hashing reads every byte, so that is on request.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing: the index is damaged; build it anew")
        size = path.stat().st_size
        if size != expected.bytes:
            raise DataError(f"{path} has {size:,} bytes instead of {expected.bytes:,}: damaged; build the index anew")
        if hashes and sha256(path) != expected.sha256:
            raise DataError(f"{path} is not what was built (its SHA-256 differs): damaged; build the index anew")


def look_at_owner(folder: Path, names: Iterable[str]) -> None:
    """Refuse links, and warn of a folder that somebody else can change: what an index says, a tool says to the model.

    A colleague's index is no danger by itself: nothing in it is run, and `verify` compares every file with its hash.
    """
    trusted = {os.geteuid(), 0}
    foreign: str | None = None
    for path in (folder.resolve(), *(folder / name for name in names)):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue  # reported as missing elsewhere
        if stat.S_ISLNK(info.st_mode):
            raise DataError(f"{path} is a link: an index is read from plain files only; copy the file here")
        if info.st_uid not in trusted:
            foreign = foreign or f"{path} belongs to another user (uid {info.st_uid})"
        elif info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            foreign = foreign or f"{path} can be written by other users (mode {stat.filemode(info.st_mode)})"
    if foreign:
        log.warning("%s: others can change what this index says", foreign)


def seal(folder: Path, names: Iterable[str]) -> dict[str, Seal]:
    """Sync the finished files to the disk, keep others from writing them, and take their sizes and hashes."""
    seals = {}
    for name in sorted(names):
        path = folder / name
        path.chmod(path.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))
        sync(path)
        seals[name] = Seal(path.stat().st_size, sha256(path))
    return seals


def write_ours(path: Path, text: str) -> None:
    """Write a whole file that nobody else can change."""
    with whole_file(path) as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text.encode())


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
