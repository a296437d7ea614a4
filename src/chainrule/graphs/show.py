"""A graph before one's eyes: in the browser, or in the notebook."""

import builtins
import html
import sys
import tempfile
import webbrowser
from pathlib import Path

from ..errors import ArgumentValueError

LARGEST_CELL = 8_000_000  # characters of a page that a notebook is given to keep; above that the SVG alone

_FRAME = (
    '<iframe srcdoc="{page}" style="width:100%;height:{height}px;border:1px solid #8884;border-radius:6px" '
    'sandbox="allow-scripts allow-downloads" title="{title}"></iframe>'
)


def show(graph, *, static=False, **options):
    """See Graph.show."""
    if in_notebook():
        from IPython.display import display

        display({"image/svg+xml": graph.svg(**options)} if static or options else bundle(graph), raw=True)
        return None
    text, ending = (graph.svg(**options), ".svg") if static or options else (graph.html(), ".html")
    with tempfile.NamedTemporaryFile("w", suffix=ending, prefix="graph-", delete=False, encoding="utf-8") as file:
        file.write(text)
    webbrowser.open(Path(file.name).as_uri())
    return file.name


def in_notebook():
    """Whether the program runs in a notebook that shows pictures."""
    shell = getattr(builtins, "get_ipython", None)
    if shell is None and "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython
    return shell is not None and hasattr(shell(), "kernel")


def frame(graph, height=560):
    """The page in a frame, as HTML to put into another page. Its script sees nothing of the page around it."""
    if type(height) is not int or height < 1:
        raise ArgumentValueError(f"height: expected a positive number of pixels, got {height!r}")
    title = html.escape(graph.title or "graph of a computation", quote=True)
    return _FRAME.format(page=html.escape(graph.html(), quote=True), height=height, title=title)


def bundle(graph):
    """What a notebook may choose from: the page, for those that run scripts; the SVG; text."""
    found = {"text/plain": repr(graph), "image/svg+xml": graph.svg()}
    page = frame(graph)
    if len(page) <= LARGEST_CELL:
        found["text/html"] = page
    return found
