"""Colours, shapes' names, symbols and text measures that the drawings share.

Values and gradients differ by colour, by place and by slant; kinds of nodes by colour and by shape: so a print in black
and white says as much. The hues are told apart with the common colour vision deficiencies.
"""

import unicodedata

from .letters import measure

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

# ground, ink, edge, local derivative, value, gradient, tangent, an opened module's frame; fill and outline of each kind
LIGHT = {
    "ground": "#ffffff", "ink": "#1b1f24", "edge": "#6a737d", "local": "#4b5259",
    "value": "#0b57a4", "gradient": "#b3370b", "tangent": "#0a7158", "frame": "#2d7a55",
    "input": ("#e4effb", "#2f6aa8"), "parameter": ("#f0e7f8", "#7647a2"), "constant": ("#f3f3f0", "#77776f"),
    "operator": ("#ffffff", "#3a4048"), "output": ("#fdf2d6", "#946a08"), "module": ("#e6f3ec", "#2d7a55"),
}  # fmt: skip
DARK = {
    "ground": "#15181d", "ink": "#eceff3", "edge": "#8f98a3", "local": "#b9c0c9",
    "value": "#7cc0ff", "gradient": "#ff9d6e", "tangent": "#55d6b0", "frame": "#6fcf9f",
    "input": ("#1a2f47", "#74aee8"), "parameter": ("#32234a", "#bd93ea"), "constant": ("#2a2c2f", "#a3a69f"),
    "operator": ("#22262c", "#c6ccd4"), "output": ("#3d3214", "#e3b84e"), "module": ("#17352a", "#6fcf9f"),
}  # fmt: skip
THEMES = ("auto", "light", "dark")


_WRITTEN = ("ink", "local", "value", "gradient", "tangent", "frame")
_SLANTED = ("gradient", "tangent")
# The pen of each class: width, dashes.
_PENS = {
    "line": (1.3, ()),
    "shape": (1.5, ()),
    "constant": (1.5, (4.0, 2.5)),
    "parameter": (2.2, ()),
    "inner": (1.0, ()),
    "group": (1.2, (7.0, 4.0)),
}


def _rules(theme: str, colours: dict) -> str:
    root = f".cr-picture.cr-{theme}"
    rules = [f"{root} .cr-ground{{fill:{colours['ground']}}}"]
    rules += [f"{root} .cr-{name}{{fill:{colours[name]}}}" for name in _WRITTEN]
    rules += [f"{root} .cr-line{{stroke:{colours['edge']}}}", f"{root} .cr-tip{{fill:{colours['edge']}}}"]
    rules.append(f"{root} .cr-group{{stroke:{colours['frame']}}}")
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
        f"{root} {f',{root} '.join([f'.cr-{name}' for name in _SLANTED])}{{font-style:italic}}"
        f"{root} .cr-line{{fill:none;{_pen('line')}}}"
        f"{root} .cr-group{{fill:none;{_pen('group')}}}"
        f"{root} .cr-shape{{{_pen('shape')}}}"
        f"{root} .cr-constant .cr-shape{{{_pen('constant')}}}"
        f"{root} .cr-parameter .cr-shape{{{_pen('parameter')}}}"
        f"{root} .cr-output .cr-inner{{{_pen('inner')}}}"
    )
    if theme == "auto":
        dark, light = _rules(theme, DARK), _rules(theme, LIGHT)
        return f"{fixed}{light}@media (prefers-color-scheme:dark){{{dark}}}@media print{{{light}}}"
    return fixed + _rules(theme, DARK if theme == "dark" else LIGHT)


def _pen(name: str) -> str:
    width, dash = _PENS[name]
    return f"stroke-width:{width:g}" + (f";stroke-dasharray:{' '.join(f'{x:g}' for x in dash)}" if dash else "")


def paints(classes: tuple[str, ...], colours: dict) -> tuple[str, str, float, tuple[float, ...]]:
    """``(fill, outline, width of its pen, dashes)`` of what stands in these classes: the style sheet, for drawing.

    Colours are "" where there is none.
    """
    last = classes[-1] if classes else "ink"
    if last in ("shape", "inner"):
        kind = next(c for c in reversed(classes) if c in LEGEND)
        return (*colours[kind], *_PENS["inner" if last == "inner" else kind if kind in _PENS else "shape"])
    if last in ("line", "group"):
        return ("", colours["edge" if last == "line" else "frame"], *_PENS[last])
    if last == "tip":
        return colours["edge"], "", 0.0, ()
    return colours[last if last in _WRITTEN or last == "ground" else "ink"], "", 0.0, ()


def italic(classes: tuple[str, ...]) -> bool:
    """Whether a text in these classes is slanted."""
    return bool(classes) and classes[-1] in _SLANTED


def text_width(text: str, size: float) -> float:
    """How wide a text is, in pixels: rather too much than too little, since the reader's fonts are not known."""
    return measure(text, size) * 1.02


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


def dual(tangent: str, most: int = 26) -> str:
    """A tangent as the second part of a dual number: `` + 3ε``."""
    if not tangent:
        return ""
    shown = brief(tangent, most)
    return f" − {shown[1:]}ε" if shown[0] == "-" else f" + {shown}ε"


def symbol(operator: str, label: str = "") -> str:
    """What stands inside an operator's shape: its sign, or its name."""
    return SYMBOLS.get(operator, operator or label)


def has_own_name(label: str, operator: str) -> bool:
    """Whether a node's label is a name of the user's, and not the operator's with a number."""
    bare = label.rstrip("0123456789").rstrip("_")
    return bool(label) and label != operator and bare != operator
