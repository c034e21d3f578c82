"""From a plain corpus to calls worth keeping, one stage a file."""

if __name__ != "toolformer.data_gen":
    raise ImportError(
        "this folder is the package toolformer.data_gen: install the project (pip install -e .) and import that"
    )

from toolformer.data_gen.lessons import Lesson, load_lesson
from toolformer.data_gen.pipeline import Method
from toolformer.data_gen.records import Document
from toolformer.data_gen.run import Progress, annotate

__all__ = ["Document", "Lesson", "Method", "Progress", "annotate", "load_lesson"]
