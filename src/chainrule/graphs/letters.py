"""Outlines of letters: the part of DejaVu Sans that comes with the package. Italics are the same letters, slanted."""

from functools import lru_cache
from pathlib import Path

import numpy as np

SLANT = 0.2  # how far a letter leans, per height


@lru_cache(maxsize=1)
def _font():
    with np.load(Path(__file__).parent / "font" / "DejaVuSans.npz") as file:
        found = {name: file[name] for name in file.files}
    found["place"] = {int(code): i for i, code in enumerate(found["codes"])}
    return found


def units() -> int:
    """Units per em: what ``letter`` counts in."""
    return int(_font()["units"])


def known(c: str) -> bool:
    """Whether there is an outline of a character."""
    return ord(c) in _font()["place"]


@lru_cache(maxsize=4096)
def letter(c: str) -> tuple[float, list[tuple]]:
    """``(advance, outline)`` of a character; a hollow box for one that the font has not.

    The outline: ``("M", x, y)``, ``("L", x, y)``, ``("Q", x1, y1, x, y)`` and ``("Z",)``, y upwards from the base line.
    """
    font = _font()
    i = font["place"].get(ord(c))
    if i is None:
        wide = 2000.0 if c > "\u2e7f" else 1200.0
        outer = [(150, 0), (150, 1450), (wide - 150, 1450), (wide - 150, 0)]
        inner = [(250, 100), (wide - 250, 100), (wide - 250, 1350), (250, 1350)]
        lines = [("M" if k == 0 else "L", *p) for ring in (outer, inner) for k, p in enumerate(ring)]
        return wide, [*lines[:4], ("Z",), *lines[4:], ("Z",)]
    points = [tuple(map(float, p)) for p in font["points"][font["at_point"][i] : font["at_point"][i + 1]]]
    outline, at = [], 0
    for verb in font["verbs"][font["at_verb"][i] : font["at_verb"][i + 1]]:
        take = (1, 1, 2, 0)[verb]
        outline.append(("MLQZ"[verb], *[x for p in points[at : at + take] for x in p]))
        at += take
    return float(font["advances"][i]), outline


@lru_cache(maxsize=1)
def _advances() -> dict[str, float]:
    font = _font()
    per_em = [float(x) / units() for x in font["advances"]]
    return dict(zip(map(chr, font["codes"]), per_em, strict=True))


def measure(text: str, size: float) -> float:
    """How wide a text is. DejaVu Sans is wide, so in most other fonts a text takes less."""
    known = _advances()
    try:
        return sum([known[c] for c in text]) * size
    except KeyError:
        return sum([known[c] if c in known else letter(c)[0] / units() for c in text]) * size
