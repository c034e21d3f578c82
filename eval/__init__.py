"""Accuracy and tool-call rates on the benchmarks of the paper."""

if __name__ != "toolformer.eval":
    raise ImportError(
        "this folder is the package toolformer.eval: install the project (pip install -e .) and import that"
    )
