"""ROUGE and BLEU of users' own text-to-text tasks, by the libraries everybody uses."""

from collections.abc import Mapping, Sequence
from typing import Any

KINDS = ("rouge1", "rouge2", "rougeL")


def rouge(text: str, references: Sequence[str]) -> dict[str, float]:
    """ROUGE F1 from 0 to 1, against the reference that fits best."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(KINDS), use_stemmer=True)
    scores = [scorer.score(reference, text) for reference in references]
    return {kind: max((float(score[kind].fmeasure) for score in scores), default=0.0) for kind in KINDS}


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU from 0 to 100; a text with fewer references than others has these only."""
    from sacrebleu import corpus_bleu

    most = max(map(len, references), default=0)
    columns: Any = [[given[i] if i < len(given) else None for given in references] for i in range(most)]
    return float(corpus_bleu(list(texts), columns).score) if most else 0.0


def overlap(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """For lm-eval: what one text scores. Its mean of a text's own BLEU is not the corpus's, so there is none."""
    return rouge(results[0], doc["answers"])
