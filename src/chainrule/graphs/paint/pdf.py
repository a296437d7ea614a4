"""A drawing as PDF: one page as large as the drawing, vectors, text that can be searched and copied.

The letters are Type 3 fonts (PDF 1.7, 9.6.5) of up to 200 letters each, with the table from codes to characters.
"""

import zlib

from ..letters import SLANT, letter, units
from .png import rgb
from .scene import Path, scene

_PER_FONT = 200
_POINTS = 0.75  # a unit of the SVG is a 96th of an inch, a point a 72nd


def _n(x: float) -> str:
    text = f"{x:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def pdf(svg: str, dark: bool = False) -> bytes:
    """The PDF file of a drawing's SVG text. dark: see ``scene``."""
    found = scene(svg, dark)
    left, top, width, height = found.box
    places: dict[str, int] = {}  # character -> its number over all fonts
    content = [f"{_POINTS} 0 0 {-_POINTS} {_n(-left * _POINTS)} {_n((top + height) * _POINTS)} cm 1 j 1 J"]
    for item in found.items:
        content.append(_path(item) if isinstance(item, Path) else _text(item, places))
    objects = _Objects()
    pages, page, catalog, info = objects.new(), objects.new(), objects.new(), objects.new()
    body = objects.stream("\n".join(content))
    fonts = _fonts(objects, list(places))
    named = " ".join([f"/F{i} {k} 0 R" for i, k in enumerate(fonts)])
    box = f"[0 0 {_n(width * _POINTS)} {_n(height * _POINTS)}]"
    objects.put(catalog, f"<</Type/Catalog/Pages {pages} 0 R>>")
    objects.put(pages, f"<</Type/Pages/Kids[{page} 0 R]/Count 1>>")
    objects.put(
        page,
        f"<</Type/Page/Parent {pages} 0 R/MediaBox{box}/Contents {body} 0 R/Resources<</Font<<{named}>>>>>>",
    )
    objects.put(info, f"<</Title<{_utf16(found.title, True)}>/Producer(chainrule)>>")
    return objects.file(catalog, info)


def _utf16(text: str, mark: bool = False) -> str:
    return (b"\xfe\xff" * mark + text.encode("utf-16-be")).hex()


def _colour(colour: str, operator: str) -> str:
    return " ".join([_n(v / 255) for v in rgb(colour)]) + f" {operator}"


def _steps(steps) -> str:
    out, here = [], (0.0, 0.0)
    for verb, *p in steps:
        if verb == "Q":  # the cubic that is the same curve
            (ax, ay), (bx, by, dx, dy) = here, p
            p = [(ax + 2 * bx) / 3, (ay + 2 * by) / 3, (dx + 2 * bx) / 3, (dy + 2 * by) / 3, dx, dy]
        out.append(" ".join([*map(_n, p), {"M": "m", "L": "l", "C": "c", "Q": "c", "Z": "h"}[verb]]))
        here = (p[-2], p[-1]) if p else here
    return " ".join(out)


def _path(item: Path) -> str:
    if not item.fill and not item.stroke:
        return ""
    parts = ["q"]
    if item.fill:
        parts.append(_colour(item.fill, "rg"))
    if item.stroke:
        parts.append(f"{_colour(item.stroke, 'RG')} {_n(item.width)} w")
        if item.dash:
            parts.append(f"0 J [{' '.join(map(_n, item.dash))}] 0 d")
    paint = "B" if item.fill and item.stroke else "f" if item.fill else "S"
    return " ".join([*parts, _steps(item.steps), paint, "Q"])


def _text(item, places: dict[str, int]) -> str:
    runs: list[tuple[int, list[int]]] = []
    for c in item.text:
        font, code = divmod(places.setdefault(c, len(places)), _PER_FONT)
        if not runs or runs[-1][0] != font:
            runs.append((font, []))
        runs[-1][1].append(code)
    lean = SLANT if item.italic else 0.0
    shown = " ".join([f"/F{font} {_n(item.size)} Tf <{bytes(codes).hex()}> Tj" for font, codes in runs])
    # The page runs downwards, letters upwards: the text's own matrix turns them.
    return f"q {_colour(item.fill, 'rg')} BT 1 0 {_n(lean)} -1 {_n(item.x)} {_n(item.y)} Tm {shown} ET Q"


def _fonts(objects, characters: list[str]) -> list[int]:
    """The numbers of the fonts with these characters."""
    found = []
    for start in range(0, len(characters), _PER_FONT):
        mine = characters[start : start + _PER_FONT]
        shapes, widths = [], []
        for c in mine:
            advance, outline = letter(c)
            widths.append(_n(advance))
            shapes.append(objects.stream(f"{_n(advance)} 0 -1000 -1000 4000 3000 d1 {_steps(outline)} f"))
        names = " ".join([f"/g{i} {k} 0 R" for i, k in enumerate(shapes)])
        listed = "".join([f"/g{i}" for i in range(len(mine))])
        scale = f"{1 / units():.10f}"
        found.append(
            objects.add(
                f"<</Type/Font/Subtype/Type3/FontBBox[0 0 0 0]/FontMatrix[{scale} 0 0 {scale} 0 0]/CharProcs<<{names}>>"
                f"/Encoding<</Type/Encoding/Differences[0 {listed}]>>/FirstChar 0/LastChar {len(mine) - 1}"
                f"/Widths[{' '.join(widths)}]/Resources<<>>/ToUnicode {objects.stream(_to_unicode(mine))} 0 R>>"
            )
        )
    return found


def _to_unicode(characters: list[str]) -> str:
    head = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /T def /CMapType 2 def "
        "1 begincodespacerange <00> <FF> endcodespacerange"
    )
    lines = [head]
    for start in range(0, len(characters), 100):
        part = characters[start : start + 100]
        lines.append(f"{len(part)} beginbfchar")
        lines += [f"<{start + i:02x}> <{_utf16(c)}>" for i, c in enumerate(part)]
        lines.append("endbfchar")
    return "\n".join([*lines, "endcmap CMapName currentdict /CMap defineresource pop end end"])


class _Objects:
    """The numbered objects of a PDF file."""

    def __init__(self):
        self.texts: list[bytes] = []

    def new(self) -> int:
        self.texts.append(b"")
        return len(self.texts)

    def put(self, number: int, text: str) -> None:
        self.texts[number - 1] = text.encode("ascii")

    def add(self, text: str) -> int:
        number = self.new()
        self.put(number, text)
        return number

    def stream(self, text: str) -> int:
        number, data = self.new(), zlib.compress(text.encode("ascii"))
        head = f"<</Length {len(data)}/Filter/FlateDecode>>stream\n".encode("ascii")
        self.texts[number - 1] = head + data + b"\nendstream"
        return number

    def file(self, catalog: int, info: int) -> bytes:
        out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
        for i, text in enumerate(self.texts):
            places.append(len(out))
            out += f"{i + 1} 0 obj\n".encode("ascii") + text + b"\nendobj\n"
        start = len(out)
        out += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n".encode("ascii")
        out += b"".join([f"{at:010} 00000 n \n".encode("ascii") for at in places])
        trailer = f"trailer<</Size {len(places) + 1}/Root {catalog} 0 R/Info {info} 0 R>>"
        out += f"{trailer}\nstartxref\n{start}\n%%EOF\n".encode("ascii")
        return bytes(out)
