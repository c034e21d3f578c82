"""Memory does not grow with the corpus; `python -m tests.bench_memory` shows the same of larger ones."""

from tests.bench_memory import annotator, reader


def test_annotating_takes_no_more_memory_the_longer_it_goes_on() -> None:
    seen = annotator(1_280)
    assert seen.early > 0
    assert seen.late - seen.early < 0.25


def test_reading_takes_no_more_memory_but_for_ids() -> None:
    assert (seen := reader(20_000, ids=False)).late - seen.early < 0.05
    assert (seen := reader(20_000, ids=True)).late - seen.early < 20_000 * 150 / 2**20
