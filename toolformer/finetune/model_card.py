"""The model card of a finetuned model: how it was made, from what, and what it reached."""

import json
from collections.abc import Mapping
from typing import Any

from toolformer.reach import is_path

_CARD = """---
{head}---
# {title}

Finetuned by [toolformer]({home}) {toolformer} from `{model}`{how}, on {learnt:,} texts{which}. {spelling}

```python
from toolformer import load

model = load("{folder}")
```

{plain}

| perplexity of held-out texts | before | after |
|---|---|---|
{table}

Kept: step {step:,} of {steps:,}. {speed:,.0f} tokens/s; {padding:.1%} of what went through the model was padding.
{cut:,} rows were longer than {longest:,} tokens and lost their ends.

```json
{settings}
```
"""
_PREFERENCE_CARD = """---
{head}---
# {title}

Trained on preferences by [toolformer]({home}) {toolformer}, with TRL's DPOTrainer, on from `{model}`: {pairs}.

```python
from toolformer import load

model = load("{folder}")
```

{plain}

| held-out pairs | the chosen way is likelier, before | after |
|---|---|---|
{table}

{steps:,} steps, {speed:,.0f} tokens/s.

```json
{settings}
```
"""
_EXPERT_CARD = """---
{head}---
# {title}

An expert: an adapter of `{model}`, trained by [toolformer]({home}) {toolformer} on {learnt:,} inputs and their outputs.
A model that calls tools asks it as one of them, with the base model in memory once:

```python
from toolformer import Toolformer

tf = Toolformer.from_pretrained("MODEL", experts={{"NAME": "{folder}"}})
```

`MODEL` is `{model}`, or any adapter of it. An input stands in the prompt `{prompt}`.

| perplexity of held-out outputs | before | after |
|---|---|---|
{table}

Kept: step {step:,} of {steps:,}. {speed:,.0f} tokens/s; {padding:.1%} of what went through the model was padding.
{cut:,} pairs were longer than {longest:,} tokens and were left out.

```json
{settings}
```
"""
_MERGED_CARD = """---
{head}---
# {title}

A model that calls tools: `{model}`{base}, as one folder that needs no other. Made by [toolformer]({home}) {toolformer}.
Its weights are {dtype}.{spelling}

With `pip install toolformer-kit`:

```python
from toolformer import Toolformer

tf = Toolformer.from_pretrained("{folder}")
print(tf.generate("There are 8 boxes with 76 oranges in each, so there are", max_new_tokens=8).raw)
```

The same with transformers, which then runs `custom_generate/generate.py` of this folder, and needs the package too:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = AutoModelForCausalLM.from_pretrained("{folder}", trust_remote_code=True)
prompt = tokenizer("There are 8 boxes with 76 oranges in each, so there are", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=8)[0]))
```

Without `trust_remote_code=True` it is a plain language model: nothing runs its calls, and it makes their results up.

```json
{settings}
```
"""
_HOME = "https://arxiv.org/abs/2302.04761"
_PEFT = """It is a peft adapter. With peft alone, load the base model, resize its embeddings to the tokenizer's length
if they are shorter, and put `PeftModel.from_pretrained(base, "{folder}")` on top."""
_WHOLE = """It is a whole model: `AutoModelForCausalLM` loads it, or `AutoModelForSeq2SeqLM` if it is an
encoder-decoder."""


def model_card(config: Mapping[str, Any], results: Mapping[str, Any], folder: str) -> str:
    """The card as Markdown."""
    settings, texts = config["settings"], config["texts"]
    adapter = settings["how"] != "full"
    rows = [
        f"| {name} | {results['before'].get(name, float('nan')):.4g} | {value:.4g} |"
        for name, value in results["perplexity"].items()
    ]
    tools = ", ".join(config["tools"])
    return _CARD.format(
        head=_head(config["model"], adapter=adapter),
        title=f"{config['model'].rstrip('/').rpartition('/')[2]}, finetuned to call tools",
        home=_HOME,
        toolformer=config["toolformer"],
        model=config["model"],
        how={"lora": " with LoRA", "prompt": " by prompt tuning", "full": ""}[settings["how"]] + _earlier(config),
        learnt=texts["learnt"],
        which=" without their calls, as a control"
        if settings["control"]
        else f" with calls of {tools}{_teacher(config)}",
        spelling="" if settings["control"] else f"A call is written like this: `{config['call']}`.",
        folder=folder,
        plain=_PEFT.format(folder=folder) if adapter else _WHOLE,
        table="\n".join(rows) or "| none were held out | | |",
        step=results["step"],
        steps=results["steps"],
        speed=results["tokens_per_second"],
        padding=results["padding"],
        cut=results["cut"],
        longest=settings["max_length"],
        settings=json.dumps(config, indent=1, ensure_ascii=False),
    )


def _earlier(config: Mapping[str, Any]) -> str:
    """Which adapter went on to be trained, if one did."""
    return f", going on from the adapter `{config['went_on_from']}`" if "went_on_from" in config else ""


def _teacher(config: Mapping[str, Any]) -> str:
    """From whom it was learnt, if from another model."""
    if "teacher" not in config:
        return ""
    taught = {"distribution": "from the distribution of `{}`", "texts": "from what `{}` wrote"}[config["taught_by"]]
    return f", {taught.format(config['teacher'])}"


def preference_card(config: Mapping[str, Any], results: Mapping[str, Any], folder: str) -> str:
    """The card of a model that was trained on preferences."""
    rows = [
        f"| {results['held'][kind]} {kind} | {results['before'][kind]:.1%} | {after:.1%} |"
        for kind, after in results["accuracy"].items()
    ]
    return _PREFERENCE_CARD.format(
        head=_head(config["model"], adapter=True),
        title=f"{config['model'].rstrip('/').rpartition('/')[2]}, trained on preferences",
        home=_HOME,
        toolformer=config["toolformer"],
        model=config["model"],
        pairs=", ".join(f"{number:,} pairs {kind}" for kind, number in results["pairs"].items() if number),
        folder=folder,
        plain=_PEFT.format(folder=folder),
        table="\n".join(rows),
        steps=results["steps"],
        speed=results["tokens_per_second"],
        settings=json.dumps(config, indent=1, ensure_ascii=False),
    )


def expert_card(config: Mapping[str, Any], results: Mapping[str, Any], folder: str) -> str:
    """The card of an expert."""
    before, after = (results[when].get("outputs") for when in ("before", "perplexity"))
    return _EXPERT_CARD.format(
        head=_head(config["model"], adapter=True),
        title=f"An expert of {config['model'].rstrip('/').rpartition('/')[2]}",
        home=_HOME,
        toolformer=config["toolformer"],
        model=config["model"],
        learnt=config["pairs"]["learnt"],
        folder=folder,
        prompt=json.dumps(config["prompt"], ensure_ascii=False),
        table=f"| {config['pairs']['held_out']:,} | {before:.4g} | {after:.4g} |" if after else "| none | | |",
        step=results["step"],
        steps=results["steps"],
        speed=results["tokens_per_second"],
        padding=results["padding"],
        cut=results["cut"],
        longest=config["expert"]["max_length"],
        settings=json.dumps(config, indent=1, ensure_ascii=False),
    )


def merged_card(about: Mapping[str, Any], folder: str) -> str:
    """The card of a model with its adapter merged. `about` says what it was made of."""
    model, base = about["model"], about["base"]
    return _MERGED_CARD.format(
        head=_head(base, adapter=False),
        title=f"{model.rstrip('/').rpartition('/')[2]}, with its tools",
        home=_HOME,
        toolformer=about["toolformer"],
        model=model,
        base="" if base == model else f" merged into `{base}`",
        dtype=about["dtype"],
        spelling=f" A call is written like this: `{about['call']}`.",
        folder=folder,
        settings=json.dumps(about, indent=1, ensure_ascii=False),
    )


def _head(model: str, *, adapter: bool) -> str:
    """What the hub reads of a card. A path is no model of the hub's."""
    head = {"tags": ["toolformer", "tool-use"], "library_name": "peft" if adapter else "transformers"}
    if "/" in model and not is_path(model):
        head["base_model"] = model
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
