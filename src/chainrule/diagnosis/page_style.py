"""The style sheet of the report page; light or dark as the reader has it."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #5c6575; --paper: #ffffff; --card: #f5f6f8;
  --line: #dfe3ea;
  --bad: #b3261e; --warn: #8a5a00; --good: #1a6b3c;
  --c0: #2f6fb5; --c1: #c4561c; --c2: #2e8540; --c3: #8a4fbf; --c4: #b58900; --c5: #c2407f; --c6: #1f8a8a;
  --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ee; --dim: #9aa3b2; --paper: #14171d; --card: #1e222b;
  --line: #333a47; --bad: #ff8a80; --warn: #f2c46d; --good: #7fd6a0;
  --c0: #6fb0f2; --c1: #f2935c; --c2: #6cc97f; --c3: #c19af0; --c4: #e0bd4f; --c5: #f08cbc; --c6: #5fd0d0;
  --c7: #a3abb8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 940px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 34px 0 8px; }
.sum, .note { color: var(--dim); margin: 0 0 10px; }
.none { color: var(--dim); font-style: italic; }
.finding { background: var(--card); border-left: 5px solid var(--warn); border-radius: 6px; padding: 12px 16px;
  margin: 10px 0; }
.finding.error { border-left-color: var(--bad); }
.finding h3 { margin: 0 0 4px; font-size: 16px; }
.finding p { margin: 4px 0; }
.finding .do { font-weight: 600; }
.where, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13.5px; }
.tag { float: right; color: var(--dim); font-size: 13px; }
.healthy { background: var(--card); border-left: 5px solid var(--good); border-radius: 6px; padding: 12px 16px;
  }
table { border-collapse: collapse; margin: 8px 0 2px; font-size: 13px; }
td { padding: 1px 14px 1px 0; color: var(--dim); vertical-align: top; }
td + td { color: var(--ink); font-family: ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere;
  }
svg { width: 100%; height: auto; display: block; }
.grid { stroke: var(--line); }
.tick, .row { fill: var(--dim); font-size: 12px; }
.row { fill: var(--ink); font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.line { fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linejoin: round; }
.dot { fill: currentColor; }
.band { fill: var(--good); opacity: .13; }
.mark { stroke: var(--bad); stroke-dasharray: 4 4; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 0; margin: 4px 0 0;
  color: var(--dim); font-size: 13px; }
.key i { display: inline-block; width: 18px; height: 3px; margin: 0 6px 3px 0; background: currentColor; }
.c0 { color: var(--c0); }
.c1 { color: var(--c1); }
.c2 { color: var(--c2); }
.c3 { color: var(--c3); }
.c4 { color: var(--c4); }
.c5 { color: var(--c5); }
.c6 { color: var(--c6); }
.c7 { color: var(--c7); }
"""
