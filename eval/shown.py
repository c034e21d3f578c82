"""What a page shows of a model's words: escaped, and cut, so that they are nothing but words."""

from html import escape

from toolformer.calls import Call, CallSyntax
from toolformer.chains import uses
from toolformer.eval.outcomes import Outcome

CUT = 300
"""Characters shown of a prompt (its end), a text (its beginning), an input or a result."""


def example(one: Outcome, about: str) -> str:
    """An example: what was asked and written, and what there is to say of it: `about`, then the rest."""
    chance = f"p(call) = {one.probability:.3g}, rank {one.rank + 1}" if one.rank >= 0 else ""
    undone = "; ".join(f"{call.tool}({call.input}) undone: {call.undone}" for call in one.calls if call.undone)
    said = [escaped(one.prompt[-CUT:]), " <b>", _called(one), "</b>"]
    expected = f"expected: {short(' | '.join(one.answers))}"
    told = " · ".join(filter(None, (about, chance, short(undone), expected)))
    return f'<div class="example"><p>{"".join(said)}</p><p class="meta">{escaped(told)}</p></div>'


def _called(one: Outcome) -> str:
    """The text with its calls in place."""
    parts, at = [], 0
    before: list[str | Call] = [one.prompt]
    for call in one.calls:
        if not call.undone and call.start <= CUT:
            text = one.text[at : call.start]
            before.append(text)
            earlier = ", ".join(str(number + 1) for number in uses(before, call.input))
            built = f", uses call {earlier}" if earlier else ""
            shown = f"[{call.tool}({short(call.input)}){CallSyntax.TOKENS.arrow} {short(call.result)}{built}]"
            parts += [escaped(text), f"<mark>{escaped(shown)}</mark>"]
            before.append(Call(call.tool, call.input, call.result))
            at = call.start
    return "".join([*parts, escaped(one.text[at : max(at, CUT)])])


def short(text: str) -> str:
    """Its beginning."""
    return text if len(text) <= CUT else f"{text[:CUT]}…"


def escaped(text: str) -> str:
    """Text that is nothing but text: escaped, without what a browser or an encoder would stumble over."""
    kept = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
    return escape(kept, quote=True)
