"""A run as one self-contained page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from .charts import curves, heat_map, number
from .page_style import STYLE


def page(report: Any) -> str:
    """The page's text."""
    known = [v for _, v in report.loss if v == v]
    span = f", loss {number(known[0])} to {number(known[-1])}" if known else ""
    series = report.series
    marks = [(f.step, f"{f.code}: {f.message}") for f in report.findings]
    grads = series.get("grad", {})
    parts = [
        f"<h1>{escape(report.title)}</h1><p class=sum>{report.steps} steps{escape(span)}, "
        f"{len(report.findings)} finding{'' if len(report.findings) == 1 else 's'}</p>",
        "<h2>Findings</h2>",
        "".join(_finding(f) for f in report.findings)
        or '<p class="healthy">Nothing is wrong as far as can be seen.</p>',
        "<h2>Loss</h2>",
        curves({"loss": report.loss}, 260, log=_wide(known), marks=marks),
        "<h2>Gradient norm by parameter and step</h2>",
        "<p class=note>From the input (top) to the output (bottom). A colour that changes steadily from row to row is "
        "a gradient that vanishes or explodes; black is exactly 0.</p>",
        heat_map(grads),
        "<h2>Size of a step relative to the weights</h2>",
        "<p class=note>About a thousandth is healthy (shaded: 1e-4 to 1e-2).</p>",
        curves(_largest(series.get("update", {})), 240, log=True, band=(1e-4, 1e-2)),
    ]
    if series.get("signal"):
        parts += [
            "<h2>Gradients that arrive at the layers</h2>",
            heat_map(series["signal"], 40),
        ]
    if series.get("input"):
        parts += [
            "<h2>Size of what goes into the layers</h2>",
            "<p class=note>Root mean square; about 1 is what initialisations aim at.</p>",
            curves(series["input"], 240, log=True, band=(0.1, 10.0)),
        ]
    if series.get("slope"):
        parts += [
            "<h2>Activations</h2>",
            "<p class=note>Mean derivative relative to its largest value: for relu the share of units that fire, for "
            "tanh and sigmoid near 0 where they are saturated.</p>",
            curves(series["slope"], 220, floor=0.0),
        ]
    if any(v > 0 for p in series.get("dead", {}).values() for _, v in p):
        parts += [
            "<h2>Share of dead units</h2>",
            "<p class=note>0 for every sample of a window of at least 512.</p>",
            curves(series["dead"], 200, floor=0.0),
        ]
    if len({v for _, v in report.rate}) > 1:
        parts += ["<h2>Learning rate</h2>", curves({"learning rate": report.rate}, 180, floor=0.0)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _finding(f: Any) -> str:
    where = f' <span class="where">{escape(f.where)}</span>' if f.where else ""
    source = f"<p><code>{escape(f.source)}</code></p>" if f.source else ""
    rows = "".join(f"<tr><td>{escape(str(k))}</td><td>{escape(_value(v))}</td></tr>" for k, v in f.evidence.items())
    return (
        f'<div class="finding {escape(f.severity)}"><span class="tag">{escape(f.status)}, since step {f.step}</span>'
        f"<h3>{escape(f.code)}{where}</h3>{source}<p>{escape(f.message)}</p>"
        f'<p class="do">{escape(f.remedy)}</p>' + (f"<table>{rows}</table>" if rows else "") + "</div>"
    )


def _value(v: Any) -> str:
    if isinstance(v, float):
        return number(v) if v == v and abs(v) != float("inf") else str(v)
    return v if isinstance(v, str) else json.dumps(v, default=str)


def _wide(values: list[float]) -> bool:
    """Whether a logarithmic scale shows more."""
    known = [v for v in values if abs(v) != float("inf")]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 30


def _largest(series: dict) -> dict:
    """The parameters with the most numbers: matrices, not their biases, if there are many."""
    if len(series) <= 8:
        return series
    weights = {n: p for n, p in series.items() if not n.endswith("bias")}
    return weights or series
