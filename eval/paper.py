"""What the paper reports (Schick et al. 2023, Tables 3, 4, 5, 7, 8 and 9), to stand beside ours, marked as quoted.

Its perplexities on CCNet and its multilingual results are left out: we have no such tasks.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the paper: our tasks as columns, its models as rows."""

    number: int
    title: str
    tasks: tuple[str, ...]
    names: tuple[str, ...]
    """What the columns are called."""
    quoted: dict[str, tuple[float, ...]]
    perplexity: bool = False


TABLES = (
    Table(
        3,
        "LAMA",
        ("lama_squad", "lama_google_re", "lama_trex"),
        ("SQuAD", "Google-RE", "T-REx"),
        {
            "GPT-J": (17.8, 4.9, 31.9),
            "GPT-J + CC": (19.2, 5.6, 33.2),
            "Toolformer (disabled)": (22.1, 6.3, 34.9),
            "Toolformer": (33.8, 11.5, 53.5),
            "OPT (66B)": (21.6, 2.9, 30.1),
            "GPT-3 (175B)": (26.8, 7.0, 39.8),
        },
    ),
    Table(
        4,
        "Math",
        ("asdiv", "svamp", "mawps"),
        ("ASDiv", "SVAMP", "MAWPS"),
        {
            "GPT-J": (7.5, 5.2, 9.9),
            "GPT-J + CC": (9.6, 5.0, 9.3),
            "Toolformer (disabled)": (14.8, 6.3, 15.0),
            "Toolformer": (40.4, 29.4, 44.0),
            "OPT (66B)": (6.0, 4.9, 7.9),
            "GPT-3 (175B)": (14.0, 10.0, 19.8),
        },
    ),
    Table(
        5,
        "Question answering",
        ("webquestions", "natural_questions", "triviaqa"),
        ("WebQS", "NQ", "TriviaQA"),
        {
            "GPT-J": (18.5, 12.8, 43.9),
            "GPT-J + CC": (18.4, 12.2, 45.6),
            "Toolformer (disabled)": (18.9, 12.6, 46.7),
            "Toolformer": (26.3, 17.7, 48.8),
            "OPT (66B)": (18.6, 11.4, 45.7),
            "GPT-3 (175B)": (29.0, 22.6, 65.9),
        },
    ),
    Table(
        7,
        "Temporal",
        ("templama", "dateset"),
        ("TempLAMA", "Dateset"),
        {
            "GPT-J": (13.7, 3.9),
            "GPT-J + CC": (12.9, 2.9),
            "Toolformer (disabled)": (12.7, 5.9),
            "Toolformer": (16.3, 27.3),
            "OPT (66B)": (14.5, 1.3),
            "GPT-3 (175B)": (15.5, 0.8),
        },
    ),
    Table(
        8,
        "Perplexity",
        ("wikitext",),
        ("WikiText",),
        {"GPT-J": (9.9,), "GPT-J + CC": (10.3,), "Toolformer (disabled)": (10.3,)},
        perplexity=True,
    ),
)

BY_K: dict[str, dict[int, tuple[float | None, ...]]] = {
    "lama_trex": {
        0: (34.9, None, 34.9, 0.0),
        1: (47.8, 53.0, 44.3, 40.3),
        3: (52.9, 58.0, 29.0, 82.8),
        10: (53.5, 54.0, 22.5, 98.1),
    },
    "webquestions": {
        0: (18.9, None, 18.9, 0.0),
        1: (19.3, 17.1, 19.9, 8.5),
        3: (26.3, 26.5, 6.6, 99.3),
        10: (26.3, 26.4, None, 100.0),
    },
}
"""Table 9: accuracy over all, with a call, without, and how many examples had one, by k."""
