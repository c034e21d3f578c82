"""Lets `generate` of transformers call tools. Transformers runs this file only if it is told to trust the model's code.

What it does is in the package toolformer-kit, which has to be installed: here is nothing but the way to it.
"""

try:  # transformers would tell people to install another project's package, which is called toolformer
    from toolformer.export_model.generate import generate as generate
except ImportError as error:
    raise ImportError(
        "this model calls tools with the package toolformer-kit, which is not installed, or too old: "
        "pip install toolformer-kit; or load the model without trust_remote_code, and it has no tools"
    ) from error
