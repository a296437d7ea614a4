"""The graph: a node per operator call, edges to the nodes its inputs came from. It knows no operator by name.

An edge is the input's node, or the leaf tensor itself where a gradient is to be accumulated, or None where none is wanted.
"""

import itertools
import sys
from operator import attrgetter
from os.path import dirname

_next_seq = itertools.count().__next__
_PACKAGE = dirname(__file__)
_LENGTH = len(_PACKAGE)


def call_site(depth=2):
    """Where the user's code called us: ``(code, instruction)``, cheap to take; see ``site_text``."""
    frame = sys._getframe(depth)
    while frame.f_code.co_filename[:_LENGTH] == _PACKAGE:
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
    return frame.f_code, frame.f_lasti


def site_text(site):
    """``file:line, in function: source`` for what ``call_site`` returned."""
    if site is None:
        return "unknown line"
    file, line, function = site_location(site)
    import linecache

    source = linecache.getline(file, line).strip()
    return f"{file}:{line}, in {function}" + (f": {source}" if source else "")


def site_location(site):
    """``(file, line, function)`` of a call site."""
    code, lasti = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
            break
    return code.co_filename, line, code.co_qualname


class Node:
    """One operator call.

    edges: per input a Node, a leaf tensor, or None.   nrs: per input, which output of the edge's node it was (None: all 0).
    values: what the rule reads, as raw arrays: ``(y, x0, x1, ...)`` with None for what it does not read; None once released.
    tensors: the saved inputs as tensors, for a recorded backward and for version checks.
    versions: the version of each saved tensor when it was saved (None: all 0).
    """

    __slots__ = (
        "__weakref__", "cell", "edges", "meta", "nrs", "params", "seq", "shapes", "site", "tensors", "values", "versions",
    )
    outputs = 1
    selecting = False
    singular = False

    def __init__(self, edges, values, tensors, shapes, params, site):
        self.edges = edges
        self.values = values
        self.tensors = tensors
        self.shapes = shapes
        self.params = params
        self.site = site
        self.seq = _next_seq()
        self.nrs = None
        self.cell = None
        self.versions = None
        self.meta = None

    def name(self):
        return type(self).__name__

    def release(self):
        """Forget what was saved; a second backward through here is an error from now on."""
        self.values = self.tensors = None

    @property
    def metadata(self):
        if self.meta is None:
            self.meta = {}
        return self.meta


def topological(roots):
    """The nodes that ``roots`` depend on, newest first, so that each comes before the nodes of its inputs.

    Iterative, and linear in the number of nodes (the sort meets a list that is nearly in order).
    """
    seen = set(roots)
    stack = list(roots)
    order = []
    while stack:
        node = stack.pop()
        order.append(node)
        for edge in node.edges:
            if edge is not None and edge not in seen and isinstance(edge, Node):
                seen.add(edge)
                stack.append(edge)
    order.sort(key=attrgetter("seq"), reverse=True)
    return order
