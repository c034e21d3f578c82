"""From a plain corpus to calls worth keeping, one stage a file."""

if __name__ != "toolformer.data_gen":
    raise ImportError(
        "this folder is the package toolformer.data_gen: install the project (pip install -e .) and import that"
    )
