"""A model's chat template as ids around turns: what stands in a turn is put there later, as ids of its own.

Rendered with the turns' own text, a template's control tokens and those that a user merely spells could not be told
apart. So it is rendered around marks which no text holds, and cut there.
"""

from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from toolformer.errors import ConfigError

_MARK = "\ue000turn {}\ue001"


def frame_turns(tokenizer: PreTrainedTokenizerBase, name: str, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
    """What the template writes before, between and behind turns of these roles; the model's turn follows. None if the
    tokenizer has no template."""
    if not tokenizer.chat_template:
        return None
    turns = [{"role": role, "content": _MARK.format(number)} for number, role in enumerate(roles)]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise ConfigError(f"the chat template of {name} refuses the roles {', '.join(roles)}: {error}") from error
    pieces, rest = [], str(text)
    for turn in turns:
        before, mark, rest = rest.partition(turn["content"])
        if not mark:
            raise ConfigError(f"the chat template of {name} does not write every turn once and in order")
        pieces.append(before)
    return [tuple(tokenizer(piece, add_special_tokens=False).input_ids) for piece in [*pieces, rest]]
