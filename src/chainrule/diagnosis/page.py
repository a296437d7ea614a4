"""A run as one self-contained page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from .charts import curves, heat_map, number

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #5c6575; --paper: #ffffff; --card: #f5f6f8; --line: #dfe3ea;
  --bad: #b3261e; --warn: #8a5a00; --good: #1a6b3c;
  --c0: #2f6fb5; --c1: #c4561c; --c2: #2e8540; --c3: #8a4fbf; --c4: #b58900; --c5: #c2407f; --c6: #1f8a8a; --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ee; --dim: #9aa3b2; --paper: #14171d; --card: #1e222b;
  --line: #333a47; --bad: #ff8a80; --warn: #f2c46d; --good: #7fd6a0;
  --c0: #6fb0f2; --c1: #f2935c; --c2: #6cc97f; --c3: #c19af0; --c4: #e0bd4f; --c5: #f08cbc; --c6: #5fd0d0; --c7: #a3abb8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 940px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 8px; }
.sum, .note { color: var(--dim); margin: 0 0 10px; } .none { color: var(--dim); font-style: italic; }
.finding { background: var(--card); border-left: 5px solid var(--warn); border-radius: 6px; padding: 12px 16px; margin: 10px 0; }
.finding.error { border-left-color: var(--bad); } .finding h3 { margin: 0 0 4px; font-size: 16px; }
.finding p { margin: 4px 0; } .finding .do { font-weight: 600; } .where, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13.5px; }
.tag { float: right; color: var(--dim); font-size: 13px; }
.healthy { background: var(--card); border-left: 5px solid var(--good); border-radius: 6px; padding: 12px 16px; }
table { border-collapse: collapse; margin: 8px 0 2px; font-size: 13px; } td { padding: 1px 14px 1px 0; color: var(--dim); vertical-align: top; }
td + td { color: var(--ink); font-family: ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } .grid { stroke: var(--line); } .tick, .row { fill: var(--dim); font-size: 12px; }
.row { fill: var(--ink); font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.line { fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linejoin: round; } .dot { fill: currentColor; }
.band { fill: var(--good); opacity: .13; } .mark { stroke: var(--bad); stroke-dasharray: 4 4; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 0; margin: 4px 0 0; color: var(--dim); font-size: 13px; }
.key i { display: inline-block; width: 18px; height: 3px; margin: 0 6px 3px 0; background: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
"""


def page(report: Any) -> str:
    """The page's text."""
    known = [v for _, v in report.loss if v == v]
    span = f", loss {number(known[0])} to {number(known[-1])}" if known else ""
    series = report.series
    marks = [(f.step, f"{f.code}: {f.message}") for f in report.findings]
    grads = {n: p for n, p in series.get("grad", {}).items()}
    parts = [
        f"<h1>{escape(report.title)}</h1><p class=sum>{report.steps} steps{escape(span)}, "
        f"{len(report.findings)} finding{'' if len(report.findings) == 1 else 's'}</p>",
        "<h2>Findings</h2>",
        "".join(_finding(f) for f in report.findings)
        or '<p class="healthy">Nothing is wrong as far as can be seen.</p>',
        "<h2>Loss</h2>",
        curves({"loss": report.loss}, 260, log=_wide(known), marks=marks),
        "<h2>Gradient norm by parameter and step</h2>",
        "<p class=note>From the input (top) to the output (bottom). A colour that changes steadily from row to row is a "
        "gradient that vanishes or explodes; black is exactly 0.</p>",
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
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
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
