"""Drawings as PNG and PDF, by NumPy and the standard library alone: no browser, no library, no font of the machine's.

``scene`` reads the SVG that ``graphs.svg`` writes, ``raster`` and ``png`` make pixels of it, ``pdf`` a document, both
with the letters that come with the package. The SVG stays the one place where it is said how a graph looks.
"""

from .pdf import pdf
from .png import png

__all__ = ["pdf", "png"]
