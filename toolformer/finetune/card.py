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
        how={"lora": " with LoRA", "prompt": " by prompt tuning", "full": ""}[settings["how"]],
        learnt=texts["learnt"],
        which=" without their calls, as a control" if settings["control"] else f" with calls of {tools}",
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


def _head(model: str, *, adapter: bool) -> str:
    """What the hub reads of a card. A path is no model of the hub's."""
    head = {"tags": ["toolformer", "tool-use"], "library_name": "peft" if adapter else "transformers"}
    if "/" in model and not is_path(model):
        head["base_model"] = model
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
