"""Plots as SVG text, without a script: accuracy and calls over k, decisions, reliability. Names in them are escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from toolformer.eval.call_statistics import CASES

Json = dict[str, Any]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 170, 34, 10, 12, 30
CURVES = {"probability": "hue0", "rank": "hue2"}
"""The curves of accuracy over calls, by the score that orders the examples, and their colours."""
_COLOURS = {name: f"hue{number}" for number, name in enumerate(CASES)}


def over_k(title: str, by_k: Mapping[str, Json]) -> str:
    """Accuracy and the share of examples with a call, with their intervals; ks stand at equal distances."""
    ks = sorted(by_k, key=int)
    places = [LEFT + (WIDTH - LEFT - RIGHT) * (n + 0.5) / len(ks) for n in range(len(ks))]
    parts = [_axes()]
    for name, hue in (("accuracy", "hue0"), ("called", "hue2")):
        points = [(x, by_k[k][name]) for x, k in zip(places, ks, strict=True) if by_k[k][name] is not None]
        path = " ".join(f"{x:.1f},{_y(share['value']):.1f}" for x, share in points)
        parts.append(f'<g class="{hue}"><polyline points="{path}"/>')
        for x, share in points:
            low, high = _y(share["low"]), _y(share["high"])
            shown = f"{name} {100 * share['value']:.1f}% ({100 * share['low']:.1f}–{100 * share['high']:.1f})"
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{_y(share["value"]):.1f}" r="3.5"><title>{shown}</title></circle>')
        parts.append("</g>")
    parts += [_text(x, HEIGHT - BOTTOM + 14, f"k = {k}") for x, k in zip(places, ks, strict=True)]
    return _svg(f"{title}: accuracy and calls over k", parts)


def reliability(title: str, bins: Sequence[Json]) -> str:
    """How often a tool mended the answer, against the probability of the call's opening. Areas tell how many."""
    total = sum(row["mended"]["count"] for row in bins)
    parts = [_axes(), f'<line class="even" x1="{_x(0):g}" y1="{_y(0):.1f}" x2="{_x(1):g}" y2="{_y(1):.1f}"/>']
    parts.append('<g class="hue1">')
    for row in bins:
        x, share = _x(row["probability"]), row["mended"]
        low, high, radius = _y(share["low"]), _y(share["high"]), 2 + 8 * (share["count"] / total) ** 0.5
        shown = f"p {row['probability']:.2f}: {100 * share['value']:.0f}% of {share['count']} mended"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        parts.append(
            f'<circle cx="{x:.1f}" cy="{_y(share["value"]):.1f}" r="{radius:.1f}"><title>{shown}</title></circle>'
        )
    parts.append("</g>")
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 22, "probability of a call’s opening"))
    parts += [_text(_x(x), HEIGHT - BOTTOM + 11, f"{x:g}") for x in (0, 0.5, 1)]
    return _svg(f"{title}: reliability", parts)


def over_calls(title: str, need: Json) -> str:
    """Accuracy over the share of examples with a call, if those come first that the score puts first; dots are the
    model's own calls at each k. On the dashed line, calls fall to examples by chance."""
    total = sum(need["kinds"].values())
    by_score = {hue: need["told_by"][name]["curve"] for name, hue in CURVES.items()}
    none, *_, every = (_y(accuracy) for _, accuracy in by_score["hue0"])
    parts = [_axes(), f'<line class="even" x1="{_x(0):g}" y1="{none:.1f}" x2="{_x(1):g}" y2="{every:.1f}"/>']
    for hue, curve in by_score.items():
        points = " ".join(f"{_x(share):.1f},{_y(accuracy):.1f}" for share, accuracy in curve)
        parts.append(f'<g class="{hue}"><polyline points="{points}"/></g>')
    parts.append('<g class="hue1">')
    for k, made in need["k"].items():
        shown = f"k = {k}: {100 * made['accuracy']:.1f}% with {made['called']:,} of {total:,} calls"
        x, y = _x(made["called"] / total), _y(made["accuracy"])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{shown}</title></circle>')
    parts.append("</g>")
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 22, "share of examples with a call"))
    parts += [_text(_x(x), HEIGHT - BOTTOM + 11, f"{x:g}") for x in (0, 0.5, 1)]
    return _svg(f"{title}: accuracy over calls", parts)


def decisions(title: str, by_k: Mapping[str, Json]) -> str:
    """One bar a k, cut into the cases."""
    ks = sorted((k for k in by_k if k != "calibration"), key=int)
    step = (HEIGHT - TOP - BOTTOM) / len(ks)
    parts = []
    for n, k in enumerate(ks):
        cases, y, x = by_k[k]["cases"], TOP + n * step, float(LEFT + 8)
        total = sum(cases.values()) or 1
        parts.append(f'<text class="side" x="{LEFT + 3}" y="{y + step / 2 + 2:.1f}">k = {k}</text>')
        for name, count in cases.items():
            width = (WIDTH - LEFT - 8 - RIGHT) * count / total
            if count:
                parts.append(
                    f'<rect class="{_COLOURS[name]}" x="{x:.1f}" y="{y + 2:.1f}" width="{width:.1f}" '
                    f'height="{max(step - 6, 1):.1f}"><title>{name}: {count} of {total}</title></rect>'
                )
            x += width
    return _svg(f"{title}: decisions", parts)


def legend() -> str:
    """Which colour is which case."""
    return " ".join(f'<span><i class="{hue}"></i>{escape(name)}</span>' for name, hue in _COLOURS.items())


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0))


def _axes() -> str:
    lines = []
    for share in (0, 0.5, 1):
        lines.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(share):.1f}" y2="{_y(share):.1f}"/>')
        lines.append(f'<text class="side" x="{LEFT - 5}" y="{_y(share) + 4:.1f}">{100 * share:g}%</text>')
    return "".join(lines)


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(name: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name, quote=True)}">{"".join(parts)}</svg>'
    )
