"""From a plain corpus to calls worth keeping, one stage a file."""

from typing import TYPE_CHECKING

if __name__ != "toolformer.data_gen":
    raise ImportError(
        "this folder is the package toolformer.data_gen: install the project (pip install -e .) and import that"
    )

if TYPE_CHECKING:
    from toolformer.data_gen.annotated_folder import AnnotatedFolder
    from toolformer.data_gen.annotating import annotate
    from toolformer.data_gen.documents import read_corpus
    from toolformer.data_gen.estimating import Estimate, estimate
    from toolformer.data_gen.lessons import Lesson, load_lesson
    from toolformer.data_gen.lessons.proposals import Proposed
    from toolformer.data_gen.method import Method
    from toolformer.data_gen.near_duplicates import Deduplicated, dedup
    from toolformer.data_gen.parts import CorpusPart, merge_parts
    from toolformer.data_gen.records import Document
    from toolformer.data_gen.samplers.server import Server
    from toolformer.data_gen.shards import Progress

__all__ = [
    "AnnotatedFolder",
    "CorpusPart",
    "Deduplicated",
    "Document",
    "Estimate",
    "Lesson",
    "Method",
    "Progress",
    "Proposed",
    "Server",
    "annotate",
    "dedup",
    "estimate",
    "load_lesson",
    "merge_parts",
    "read_corpus",
]

_PLACES = {
    "AnnotatedFolder": "annotated_folder",
    "Deduplicated": "near_duplicates",
    "Document": "records",
    "Estimate": "estimating",
    "Lesson": "lessons",
    "Method": "method",
    "CorpusPart": "parts",
    "Progress": "shards",
    "Proposed": "lessons.proposals",
    "Server": "samplers.server",
    "annotate": "annotating",
    "dedup": "near_duplicates",
    "estimate": "estimating",
    "load_lesson": "lessons",
    "merge_parts": "parts",
    "read_corpus": "documents",
}


def __getattr__(name: str) -> object:
    """Import a name at its first use, so that the command line stays light."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
