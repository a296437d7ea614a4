"""Colours, shapes' names, symbols and text measures that the drawings share.

Values and gradients differ by colour, by place and by slant; kinds of nodes by colour and by shape: so a print in black
and white says as much. The hues are told apart with the common colour vision deficiencies.
"""

import unicodedata

SYMBOLS = {
    "add": "+", "sub": "−", "rsub": "−", "mul": "×", "div": "÷", "neg": "−", "pow": "xʸ", "square": "x²",
    "matmul": "@", "mm": "@", "mv": "@", "bmm": "@", "dot": "·", "t": "xᵀ", "transpose": "xᵀ", "sum": "Σ", "prod": "Π",
    "sqrt": "√", "reciprocal": "1/x", "abs": "|x|", "where": "if", "eq": "=", "ne": "≠", "lt": "<", "le": "≤",
    "gt": ">", "ge": "≥",
}  # fmt: skip

LEGEND = {
    "input": "input",
    "parameter": "parameter",
    "constant": "constant",
    "operator": "operator",
    "output": "output",
    "module": "module",
}

# ground, ink, edge, local derivative, value, gradient; then fill and outline of each kind
LIGHT = {
    "ground": "#ffffff", "ink": "#1b1f24", "edge": "#6a737d", "local": "#4b5259",
    "value": "#0b57a4", "gradient": "#b3370b",
    "input": ("#e4effb", "#2f6aa8"), "parameter": ("#f0e7f8", "#7647a2"), "constant": ("#f3f3f0", "#77776f"),
    "operator": ("#ffffff", "#3a4048"), "output": ("#fdf2d6", "#946a08"), "module": ("#e6f3ec", "#2d7a55"),
}  # fmt: skip
DARK = {
    "ground": "#15181d", "ink": "#eceff3", "edge": "#8f98a3", "local": "#b9c0c9",
    "value": "#7cc0ff", "gradient": "#ff9d6e",
    "input": ("#1a2f47", "#74aee8"), "parameter": ("#32234a", "#bd93ea"), "constant": ("#2a2c2f", "#a3a69f"),
    "operator": ("#22262c", "#c6ccd4"), "output": ("#3d3214", "#e3b84e"), "module": ("#17352a", "#6fcf9f"),
}  # fmt: skip
THEMES = ("auto", "light", "dark")


def _rules(theme: str, colours: dict) -> str:
    root = f".cr-picture.cr-{theme}"
    rules = [f"{root} .cr-ground{{fill:{colours['ground']}}}"]
    rules += [f"{root} .cr-{name}{{fill:{colours[name]}}}" for name in ("ink", "local", "value", "gradient")]
    rules += [f"{root} .cr-line{{stroke:{colours['edge']}}}", f"{root} .cr-tip{{fill:{colours['edge']}}}"]
    for kind in LEGEND:
        fill, outline = colours[kind]
        rules.append(f"{root} .cr-{kind} .cr-shape{{fill:{fill};stroke:{outline}}}")
    return "".join(rules)


def style(theme: str) -> str:
    """The style sheet of a drawing: every rule is bound to it by its class, so a page may hold several."""
    root = ".cr-picture"
    fixed = (
        f'{root}{{font-family:"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}}'
        f"{root} text{{stroke:none}}"
        f"{root} .cr-gradient{{font-style:italic}}"
        f"{root} .cr-line{{fill:none;stroke-width:1.3}}"
        f"{root} .cr-shape{{stroke-width:1.5}}"
        f"{root} .cr-constant .cr-shape{{stroke-dasharray:4 2.5}}"
        f"{root} .cr-parameter .cr-shape{{stroke-width:2.2}}"
        f"{root} .cr-output .cr-inner{{stroke-width:1}}"
    )
    if theme == "auto":
        dark, light = _rules(theme, DARK), _rules(theme, LIGHT)
        return f"{fixed}{light}@media (prefers-color-scheme:dark){{{dark}}}@media print{{{light}}}"
    return fixed + _rules(theme, DARK if theme == "dark" else LIGHT)


_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]{}/ ·"), frozenset("mwMW@%—…")


def text_width(text: str, size: float) -> float:
    """About how wide a text is, in pixels: rather too much than too little, since the reader's fonts are not known."""
    total = 0.0
    for c in text:
        if c in _NARROW:
            total += 0.40
        elif c in _WIDE or c > "\u2e7f":
            total += 1.0
        elif c.isupper():
            total += 0.72
        else:
            total += 0.61
    return total * size


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    shown = [c for c in text if unicodedata.category(c) not in ("Mn", "Me")]
    return sum([2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown])


def clean(text: str) -> str:
    """A text safe to show: control characters, lone surrogates and what reorders text become replacement marks."""
    if text.isascii() and text.isprintable():
        return text
    out = []
    for c in text:
        kind = unicodedata.category(c)
        if c in "\n\t\r" or kind == "Zs":
            out.append(" ")
        elif kind in ("Cc", "Cs", "Cf", "Cn", "Co", "Zl", "Zp"):
            out.append("\ufffd")
        else:
            out.append(c)
    return "".join(out)


def short(text: str, most: int) -> str:
    """A text of at most ``most`` cells, cut with an ellipsis."""
    text = clean(text)
    if cells(text) <= most:
        return text
    kept, used = [], 0
    for c in text:
        used += cells(c)
        if used > most - 1:
            break
        kept.append(c)
    return "".join(kept) + "…" if most > 0 else ""


def brief(text: str, most: int) -> str:
    """A value's text, short: of a large array its shape and mean (``[5×3] mean 0.2``), not its range."""
    if text.startswith("[") and "] mean " in text:
        text = text.partition(", in ")[0]
    return short(text, most)


def symbol(operator: str, label: str = "") -> str:
    """What stands inside an operator's shape: its sign, or its name."""
    return SYMBOLS.get(operator, operator or label)


def has_own_name(label: str, operator: str) -> bool:
    """Whether a node's label is a name of the user's, and not the operator's with a number."""
    bare = label.rstrip("0123456789").rstrip("_")
    return bool(label) and label != operator and bare != operator
