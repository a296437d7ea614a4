"""Makes ``DejaVuSans.npz``: ``python make.py DejaVuSans.ttf`` (DejaVu fonts 2.37; needs fonttools).

The outlines of the letters that names, formulas and numbers are made of. The licence stands in ``LICENSE`` beside this.
"""

import sys
from pathlib import Path

import numpy as np

WANTED = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x2B0, 0x2FF), (0x370, 0x3FF), (0x400, 0x45F), (0x1D00, 0x1D6A), (0x1E00, 0x1EFF),
    (0x2010, 0x205E), (0x2070, 0x209C), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x25A0, 0x25FF),
    (0xFFFD, 0xFFFD),
]  # fmt: skip


def main(path):
    from fontTools.pens.basePen import BasePen
    from fontTools.ttLib import TTFont

    font = TTFont(path)
    glyphs, names = font.getGlyphSet(), font.getBestCmap()
    points, verbs = [], []

    class Pen(BasePen):
        """Verbs 0: move, 1: line, 2: control and end of a quadratic curve, 3: close."""

        def _moveTo(self, p):
            verbs.append(0), points.append(p)

        def _lineTo(self, p):
            verbs.append(1), points.append(p)

        def _qCurveToOne(self, p, q):
            verbs.append(2), points.extend([p, q])

        def _closePath(self):
            verbs.append(3)

    codes, advances, at_point, at_verb = [], [], [0], [0]
    for code in [c for a, b in WANTED for c in range(a, b + 1) if c in names]:
        glyphs[names[code]].draw(Pen(glyphs))
        codes.append(code)
        advances.append(glyphs[names[code]].width)
        at_point.append(len(points))
        at_verb.append(len(verbs))
    np.savez_compressed(
        Path(__file__).parent / "DejaVuSans.npz",
        codes=np.array(codes, np.int32),
        advances=np.array(advances, np.int16),
        points=np.array(np.round(points), np.int16),
        verbs=np.array(verbs, np.int8),
        at_point=np.array(at_point, np.int32),
        at_verb=np.array(at_verb, np.int32),
        units=font["head"].unitsPerEm,
    )
    print(len(codes), "letters")


if __name__ == "__main__":
    main(sys.argv[1])
