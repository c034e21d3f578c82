"""Pairs of a better and a worse way to go on: which ones, how they are spelled, and that TRL trains on them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.annotated_sample import Record, call, kept, rejected, write_folder
from tests.finetune_texts import text
from toolformer.calls import CallSyntax
from toolformer.data_gen.export import Format, export
from toolformer.errors import DataError
from toolformer.finetune.training_rows import RowMaker
from toolformer.hf.encode import Codec

SUM = "Of 3 and 4 you make 7 in all, then walk home by the old way and sleep until noon."
KEPT = kept("sum", SUM, call(SUM, " 7", "Calculator", "3 + 4", "7"))


def dropped(before: str, asked: str, result: str | None, gain: float | None, **more: object) -> Record:
    start = SUM.index(before)
    near = SUM[max(0, start - 40) : start + 40]
    numbers = {"loss_plain": 2.0, "loss_call": 2.0, "loss_result": 2.0, "gain": gain} if gain is not None else {}
    said = rejected("sum", near, min(start, 40), "Calculator", "filter", "gains too little")
    return {**said, "start": start, "input": asked, "result": result, **numbers, **more}


ALL = [
    dropped(" 7", "4 - 3", "1", -0.5),
    dropped(" 7", "3 * 4", "12", 0.1),
    dropped(" 7", "3+4", "7", 0.2),
    dropped(" home", "3 / 4", "0.75", -1.0),
    dropped(" old", "3 + 1", "old", 0.05),
    dropped(" noon", "9 - 3", None, None, stage="execute"),
]
HOME = {
    "prompt": "Of 3 and 4 you make<API> Calculator(3 + 4)→ 7</API> 7 in all, then walk",
    "chosen": " home by the old way and sleep until",
    "rejected": "<API> Calculator(3 / 4)→ 0.75</API> home by the old way and sleep until",
}
SEVEN = {
    "prompt": "Of 3 and 4 you make",
    "chosen": "<API> Calculator(3 + 4)→ 7</API>",
    "rejected": "<API> Calculator(3 * 4)→ 12</API>",
}


def rows(tmp_path: Path, form: Format, texts: list[Record], calls: list[Record]) -> list[dict[str, Any]]:
    folder = write_folder(tmp_path / "run", texts, calls)
    export(folder, form, tmp_path / "out.jsonl")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]


def test_the_kept_call_is_better_than_the_next_best_and_no_call_better_than_a_useless_one(tmp_path: Path) -> None:
    assert rows(tmp_path, "preference", [KEPT], ALL) == [SEVEN, HOME]


def test_one_by_one(tmp_path: Path) -> None:
    said = rows(tmp_path, "kto", [KEPT], ALL)
    assert said[:2] == [
        {"prompt": SEVEN["prompt"], "completion": SEVEN["chosen"], "label": True},
        {"prompt": SEVEN["prompt"], "completion": SEVEN["rejected"], "label": False},
    ]
    assert len(said) == 4


def test_a_call_without_a_result_is_the_furthest_from_good(tmp_path: Path) -> None:
    failed = dropped(" 7", "3 / 0", None, None, stage="execute")
    (pair,) = rows(tmp_path / "both", "preference", [KEPT], [failed, dropped(" 7", "4 - 3", "1", -9.0)])
    assert pair["rejected"] == "<API> Calculator(4 - 3)→ 1</API>"
    (pair,) = rows(tmp_path / "alone", "preference", [KEPT], [failed])
    assert pair["rejected"] == "<API> Calculator(3 / 0)</API>"


def test_equal_gains_are_decided_by_the_calls_not_by_their_order(tmp_path: Path) -> None:
    two = [dropped(" 7", "4 - 3", "1", 0.1), dropped(" 7", "3 * 4", "12", 0.1)]
    first, second = (rows(tmp_path / f"{n}", "preference", [KEPT], two[::n]) for n in (1, -1))
    assert first == second == [{**SEVEN, "rejected": "<API> Calculator(4 - 3)→ 1</API>"}]


def test_the_next_words_end_before_the_next_call(tmp_path: Path) -> None:
    (pair,) = rows(tmp_path, "preference", [KEPT], [dropped(" and", "3 - 3", "0", -1.0)])
    assert pair == {
        "prompt": "Of 3",
        "chosen": " and 4 you make",
        "rejected": "<API> Calculator(3 - 3)→ 0</API> and 4 you make",
    }


def test_where_a_result_is_what_the_text_says_nothing_was_decided(tmp_path: Path) -> None:
    both = [dropped(" home", "3 / 4", "0.75", -1.0), dropped(" home", "1 + 1", "home", 0.01), ALL[0]]
    assert [row["prompt"] for row in rows(tmp_path, "preference", [KEPT], both)] == [SEVEN["prompt"]]


def test_a_call_that_gave_way_to_the_same_one_nearby_is_not_useless(tmp_path: Path) -> None:
    beside = dropped(" make", "3 + 4", "7", 1.5, stage="merge", reason="the same call gains more at a place nearby")
    unscored = dropped(" by", "3 + 4", "7", None, stage="rank", reason="another was likelier")
    both = [beside, dropped(" make", "3 - 4", "-1", -0.5), unscored, ALL[0]]
    assert [row["prompt"] for row in rows(tmp_path, "preference", [KEPT], both)] == [SEVEN["prompt"]]


def test_markers_in_a_text_or_a_result_would_be_read_as_calls(tmp_path: Path) -> None:
    spelled = SUM.replace("walk home", "walk <API> home")
    other = kept("sum", spelled, call(spelled, " 7", "Calculator", "3 + 4", "7"))
    calls = [dropped(" 7", "3 * 4", "</API>", 0.1), ALL[0]]
    with pytest.raises(DataError, match="no place where one way to go on was better than another"):
        rows(tmp_path / "text", "preference", [other], calls)
    (pair,) = rows(tmp_path / "result", "preference", [KEPT], calls)
    assert pair["rejected"] == "<API> Calculator(4 - 3)→ 1</API>"


def test_a_tokenizer_reads_them_as_training_writes_them(tmp_path: Path) -> None:
    tokenizer = tiny_models.own_tokenizer()
    tokenizer.add_tokens([*CallSyntax.TOKENS.control_tokens], special_tokens=True)
    row = RowMaker(Codec(tokenizer, "tiny"), CallSyntax.TOKENS, 256).with_calls(text(SUM, (" 7", "3 + 4", "7")))
    pair = rows(tmp_path, "preference", [KEPT], ALL)[0]
    said = tokenizer(pair["prompt"] + pair["chosen"] + " 7", add_special_tokens=False)["input_ids"]
    assert list(row.ids[1 : len(said) + 1]) == said


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL still uses what transformers is about to rename
@pytest.mark.parametrize("form", ["preference", "kto"])
def test_trl_trains_on_them(tmp_path: Path, form: Format) -> None:
    import datasets
    import trl

    tokenizer, network = tiny_models.own_tokenizer(), tiny_models.model("llama")
    tokenizer.add_tokens([*CallSyntax.TOKENS.control_tokens], special_tokens=True)
    network.resize_token_embeddings(len(tokenizer))
    network.save_pretrained(tmp_path / "model")
    rows(tmp_path, form, [KEPT], ALL)
    data = datasets.load_dataset("json", data_files=str(tmp_path / "out.jsonl"), split="train", cache_dir=str(tmp_path))
    kind = "DPO" if form == "preference" else "KTO"
    settings = getattr(trl, f"{kind}Config")(
        str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False
    )
    trainer = getattr(trl, f"{kind}Trainer")(
        str(tmp_path / "model"), args=settings, train_dataset=data, processing_class=tokenizer
    )
    assert trainer.train().global_step == 1
