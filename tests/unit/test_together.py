"""The calls of several rounds in one text."""

from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import KeptCall, KeptText, Numbers
from toolformer.data_gen.together import together, united

TEXT = "Of 48 clips half were sold, which is 24 clips, and 24 clips are left; 24 in the end."


def placed(before: str, asked: str, gain: float, tool: str = "Calculator") -> KeptCall:
    return KeptCall(Call(tool, asked, "24"), TEXT.index(before), Numbers(None, None, None, None, gain))


def kept(id: str, *calls: KeptCall) -> KeptText:  # noqa: A002
    return KeptText(id, TEXT, "", None, None, calls)


def test_of_two_calls_at_a_place_the_one_that_gains_more_stays() -> None:
    less, more = placed("24 clips,", "12 * 2", 0.5), placed("24 clips,", "48 / 2", 1.0)
    beside = placed(" 24 clips,", "30 - 6", 0.7)  # a space before the place
    assert united(TEXT, [less, more, beside]) == united(TEXT, [beside, more, less]) == (more,)


def test_a_call_that_is_there_again_a_few_words_on_counts_once() -> None:
    first, near = placed("24 clips,", "48 / 2", 0.5), placed("24 clips are", "48/2", 1.0)
    far, other = placed("24 in", "48 / 2", 0.3), placed("24 clips are", "48 / 2", 0.4, tool="Solver")
    assert united(TEXT, [first, near, far]) == (near, far)
    assert united(TEXT, [first, other]) == (first, other)


def test_texts_of_all_rounds_come_once_with_the_calls_of_all() -> None:
    one, two = placed("24 clips,", "48 / 2", 0.5), placed("24 in", "48 / 2", 0.5)
    texts = together([[kept("a", one)], [kept("b", one), kept("a", two, one)]])
    assert [(text.id, text.calls) for text in texts] == [("a", (one, two)), ("b", (one,))]
