"""The tools that come with the package, one file each. Nothing is loaded before the tool that needs it."""

if __name__ != "toolformer.tools":
    raise ImportError(
        "this folder is the package toolformer.tools: install the project (pip install -e .) and import that"
    )
