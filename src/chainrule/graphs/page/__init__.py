"""The page: a graph as one HTML file that needs neither a server nor the network.

``page.html`` is built from the TypeScript sources in the repository's ``web/`` (``npm run build`` there); the graph is
put into it as data. The file holds no text of the user's but in that data, where it cannot be read as HTML.
"""

import json
from functools import lru_cache
from pathlib import Path

from ...errors import ArgumentError
from ..collapse import READABLE
from .columns import document

_PLACE = "/*graph*/"
_FILE = Path(__file__).with_name("page.html")


@lru_cache(maxsize=1)
def template():
    """The built page, cut where the data goes."""
    before, _, after = _FILE.read_text(encoding="utf-8").partition(_PLACE)
    return before, after


def html(graph, *, most=READABLE):
    """The page of a graph, as text; see ``Graph.html``. Raises ArgumentError where ``most`` is no number of boxes."""
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise ArgumentError(f"html: most: expected a whole number of at least 1, or None for no limit, got {most!r}")
    data = json.dumps(document(graph, most), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    before, after = template()
    return "".join([before, data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"), after])
