"""The graph: a node per operator call, edges to the nodes its inputs came from. It knows no operator by name.

An edge is the input's node, or the leaf tensor itself where a gradient is to be accumulated, or None where none is
wanted.
"""

import itertools
import linecache
import sys
import weakref
from operator import attrgetter
from os.path import dirname, sep

from .config import switches
from .errors import ArgumentError

next_seq = itertools.count().__next__
_PACKAGE = dirname(__file__) + sep


_own_files, _user_files = set(), set()  # file names seen to be inside this package, and outside
_getframe = sys._getframe


def call_site(depth=2):
    """Where the user's code called us: ``(code, instruction)``, cheap to take; see ``site_text``."""
    frame = _getframe(depth)
    code = frame.f_code
    while code.co_filename not in _user_files:
        if code.co_filename not in _own_files:
            mine = code.co_filename.startswith(_PACKAGE)
            (_own_files if mine else _user_files).add(code.co_filename)
            continue
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
        code = frame.f_code
    return code, frame.f_lasti


def site_text(site):
    """``file:line, in function: source`` for what ``call_site`` returned."""
    if site is None:
        return "unknown line"
    file, line, function = site_location(site)
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


class _Extra:
    """What few nodes have."""

    __slots__ = ("meta", "nrs")

    def __init__(self):
        self.meta = self.nrs = None


def _rare(name, doc):
    def get(self):
        return None if self.extra is None else getattr(self.extra, name)

    def put(self, value):
        if self.extra is None:
            self.extra = _Extra()
        setattr(self.extra, name, value)

    return property(get, put, doc=doc)


class Node:
    """One operator call.

    edges: per input a Node, a leaf tensor, or None.
    values: what the rule reads, as raw arrays: ``(y, x0, x1, ...)`` with None for what it does not read; None once
    released.
    tensors: the saved inputs as tensors, for a recorded backward and for version checks.
    """

    __slots__ = (
        "__weakref__", "cell", "edges", "extra", "params", "result",
        "seq", "shapes", "site", "tensors", "values", "versions",
    )  # fmt: skip
    outputs = 1
    selecting = False
    singular = False
    primitive = None

    def __init__(self, edges, values, site, tensors=None):
        self.edges = edges
        self.values = values
        self.tensors = tensors
        self.shapes = None
        self.params = None
        self.cell = None  # the version cell of the output, where the rule reads the output
        self.versions = None  # the version of each saved tensor when it was saved; None: all 0
        self.result = None  # the output's shape and dtype, where they can't be told from the rest
        self.extra = None  # what few nodes have, see _Extra
        self.site = site
        self.seq = next_seq()

    meta = _rare("meta", "A dict of rare things: hooks, retained tensors, output shapes; None if there are none.")
    nrs = _rare("nrs", "Per input, which output of the edge's node it was; None: all are the only one.")

    def name(self):
        return type(self).__name__

    def release(self):
        """Forget what was saved; a second backward through here is an error from now on."""
        self.values = self.tensors = None

    @property
    def metadata(self):
        """Where rare things are kept: hooks, retained tensors, output shapes; a dict the user may write to as well."""
        if self.meta is None:
            self.meta = {}
        return self.meta

    @property
    def next_functions(self):
        """Per input, the node it came from and which output of that node it was; ``(None, 0)`` where no gradient
        flows."""
        nrs = self.nrs or (0,) * len(self.edges)
        return tuple(
            [
                (None, 0) if e is None else (e, nr) if isinstance(e, Node) else (accumulator(e), 0)
                for e, nr in zip(self.edges, nrs, strict=True)
            ]
        )

    def register_hook(self, hook):
        """Call ``hook(grad_inputs, grad_outputs)`` after the node's rule; a tuple it returns takes the place of the
        gradients."""
        return add_hook(self.metadata.setdefault("posthooks", {}), hook, False)

    def register_prehook(self, hook):
        """Call ``hook(grad_outputs)`` before the node's rule; a tuple it returns takes their place."""
        return add_hook(self.metadata.setdefault("prehooks", {}), hook, False)


class AccumulateGrad(Node):
    """Stands for a leaf at the end of the graph, as PyTorch shows it: ``variable`` is the leaf. Made when asked for."""

    __slots__ = ("variable",)

    def __init__(self, leaf):
        super().__init__((), (), None)
        self.variable = leaf


def accumulator(leaf):
    """The AccumulateGrad of a leaf; the same one as long as somebody holds it."""
    ref = leaf.__dict__.get("_accumulator")
    node = None if ref is None else ref()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf._accumulator = weakref.ref(node)
    return node


class RemovableHandle:
    """Undoes one registration of a hook: ``handle.remove()``, or at the end of a ``with`` block."""

    _ids = itertools.count()

    def __init__(self, hooks, extra_dict=None, lasting=True):
        switches.structure += lasting
        self.id = next(self._ids)
        self.hooks = hooks

    def remove(self):
        switches.structure += 1
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def add_hook(hooks, hook, lasting=True):
    """Put ``hook`` into a dict of hooks; returns the handle that takes it out again. ``lasting``: not of a tensor that
    is gone with its graph."""
    if not callable(hook):
        raise ArgumentError(f"a hook must be callable, got {type(hook).__name__}")
    handle = RemovableHandle(hooks, lasting=lasting)
    hooks[handle.id] = hook
    return handle


def topological(roots):
    """The nodes that ``roots`` depend on, newest first, so that each comes before the nodes of its inputs.

    Iterative, and linear in the number of nodes (the sort meets a list that is nearly in order).
    """
    seen = set(roots)
    order = list(roots)
    found, visit = order.append, seen.add
    for node in order:  # the list grows while it is walked
        for edge in node.edges:
            if edge is not None and edge not in seen:
                visit(edge)
                if isinstance(edge, Node):
                    found(edge)
    order.sort(key=attrgetter("seq"), reverse=True)
    return order
