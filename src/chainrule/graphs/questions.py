"""The part of ``Graph`` that answers questions and writes itself down; nothing here changes the graph's values."""

from pathlib import Path

from ..errors import ArgumentValueError
from . import cost, export, forward, page, paint, queries, show
from .collapse import READABLE
from .explain import Explanation
from .paths import path_counts, paths
from .picture import picture
from .steps import backward_steps, forward_steps
from .svg import svg
from .terminal import draw


class Questions:
    """Methods of Graph; see there."""

    # ---- paths and steps

    def ends(self, start, end):
        return self.node(start), self.output if end is None else self.node(end)

    def paths(self, start, end=None):
        """Iterate over the paths along which gradients flow from ``start`` to ``end`` (the output, if not given).

        Each has ``.edges``, ``.nodes`` and ``.product``; the products sum to the gradient. There may be very many:
        ``path_count`` says how many. ``start`` and ``end`` are nodes, numbers, names or tensors.

        >>> import chainrule as cr
        >>> g = cr.graph("(a + b) * (b + 1)", a=2, b=1)
        >>> [p.product for p in g.paths("b")]
        [2.0, 3.0]
        """
        return paths(self, *self.ends(start, end))

    def path_count(self, start, end=None):
        """The number of paths, exactly and without walking them.

        >>> import chainrule as cr
        >>> g = cr.graph("y = a*x + b*x + c*x; d*y + e*y + h*y", a=1, b=2, c=3, d=4, e=5, h=6, x=1)
        >>> g.path_count("x"), g.explain("x").factored()
        (9, '∂f/∂x = (d + e + h)·(a + b + c) = (4 + 5 + 6)·(1 + 2 + 3) = 90')
        """
        start, end = self.ends(start, end)
        return path_counts(self, start, end).get(end.id, 0)

    def explain(self, start, end=None, by="auto"):
        """The derivative of ``end`` with respect to ``start``, written out by the chain rule: an Explanation.

        by: "paths" gives a term for every path, "steps" one for every use of ``start``; "auto" takes paths while there
        are few.

        >>> import chainrule as cr
        >>> print(cr.graph("c = a + b; d = b + 1; e = c * d", a=2, b=1).explain("b"))
        ∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5
        """
        if by not in ("auto", "paths", "steps"):
            raise ArgumentValueError(f"explain: by must be 'auto', 'paths' or 'steps', got {by!r}")
        return Explanation(self, *self.ends(start, end), by)

    def forward_steps(self):
        """Iterate over the computation: what is computed, from which values, to which result.

        >>> import chainrule as cr
        >>> print(*cr.graph("q = x + y; f = q * z", x=2, y=3, z=-4).forward_steps(), sep="\\n")
        q = x + y = 2 + 3 = 5
        f = q·z = 5·(-4) = -20
        """
        return forward_steps(self)

    def backward_steps(self):
        """Iterate over the backward pass: which gradient goes where, by which rule. Runs ``backward()`` if need be.

        >>> import chainrule as cr
        >>> step = list(cr.graph("x * y", x=2, y=3).backward_steps())[1]
        >>> print(step, "|", step.rule)
        ∂f/∂x = ∂f/∂f · y = 1·3 = 3 | ∂(a·b)/∂a = b
        """
        return backward_steps(self)

    # ---- forward mode and cost

    def forward_mode(self, wrt, direction=None):
        """One sweep of forward mode: how every node changes when the leaf ``wrt`` moves (along ``direction``).

        The result has ``tangents`` (``{node: array}``), ``[name]`` for one of them, and the counts ``multiplications``,
        ``additions`` and ``operations``; ``reverse_operations()`` gives the same count for reverse mode.

        >>> import chainrule as cr
        >>> g = cr.graph("(a + b) * (b + 1)", a=2, b=1)
        >>> g.forward_mode("b")["f"], g.forward_mode("a")["f"]
        (array(5.), array(2.))
        >>> g.forward_mode("b").operations, g.reverse_operations()
        (5, 6)
        """
        return forward.forward_mode(self, self.node(wrt), direction)

    def reverse_operations(self):
        """Multiplications and additions of one reverse sweep, which gives all gradients at once."""
        return sum(forward.reverse_count(self))

    def cost(self):
        """Operations and bytes per node, and the peak memory of backward: a Cost.

        >>> import chainrule as cr
        >>> c = cr.graph("sum(tanh(W @ x))", W=[[1, 2], [3, 4]], x=[1, 2]).cost()
        >>> c.operations, c.bytes, c.saved
        (12, 88, 64)
        """
        return cost.cost(self)

    # ---- queries

    def ancestors(self, node):
        """The nodes that ``node`` was computed from, directly or not, in order."""
        return queries.ancestors(self, self.node(node))

    def descendants(self, node):
        """The nodes that were computed from ``node``, directly or not, in order."""
        return queries.descendants(self, self.node(node))

    def between(self, start, end):
        """The nodes on the ways from ``start`` to ``end``, both included; none if there is no way."""
        return queries.between(self, self.node(start), self.node(end))

    def find(self, operator=None, *, name=None, module=None, source=None, kind=None):
        """The nodes that match all that is given, in order.

        operator, name: with ``*`` and ``?`` as wildcards.  module: a path and everything inside it (or wildcards).
        source: a line number, a file name, or "file.py:12".  kind: see GraphNode.

        >>> import chainrule as cr
        >>> [n.name for n in cr.graph("q = x * y; tanh(q) * x", x=1, y=2).find("mul")]
        ['q', 'f']
        """
        return queries.find(self, operator, name, module, source, kind)

    def unreached(self):
        """The inputs and parameters to which no gradient can come from an output."""
        return queries.unreached(self)

    def largest_gradients(self, count=10):
        """The nodes with the largest gradients (the largest element by absolute value), NaN first."""
        return queries.by_gradient(self, count, True)

    def smallest_gradients(self, count=10):
        """The nodes with the smallest gradients: those that hardly learn."""
        return queries.by_gradient(self, count, False)

    def subgraph(self, nodes):
        """A graph of some nodes (given as nodes, numbers or names); what they read from outside becomes an input.

        >>> import chainrule as cr
        >>> part = cr.graph("q = x + y; f = q * z", x=2, y=3, z=-4).subgraph(["f"])
        >>> [n.name for n in part.inputs], part.set(q=1)["f"].value
        (['z', 'q'], array(-4.))
        """
        return queries.subgraph(self, [self.node(n) for n in nodes])

    def compare(self, other):
        """What another graph has more, less, or different, matched by name: a Difference.

        >>> import chainrule as cr
        >>> print(cr.graph("x * y", x=1, y=2).compare(cr.graph("x * y", x=3, y=2)))
        ~ x  value  1 → 3
        ~ f  value  2 → 6
        """
        return queries.compare(self, other)

    # ---- text and pictures

    def to_json(self, limit=export.LARGEST_VALUE, indent=None):
        """JSON text; its form is documented in ``chainrule.graphs.export`` (and there as a JSON Schema, ``SCHEMA``).

        limit: values with more elements are left out.
        """
        return export.to_json(self, limit, indent)

    def to_dot(self):
        """DOT text, for those who have Graphviz."""
        return export.to_dot(self)

    def to_networkx(self):
        """A ``networkx.MultiDiGraph``; needs networkx."""
        return export.to_networkx(self)

    def picture(self, forward=None):
        """What drawings are made from: a Picture of boxes and arrows.

        forward: the result of ``forward_mode``, to have tangents beside gradients.
        """
        return picture(self, forward=forward)

    def svg(self, *, forward=None, **options):
        """The drawing as SVG text; options: see ``chainrule.graphs.svg.svg``. forward: see ``picture``."""
        return svg(picture(self, forward=forward), **options)

    def png(self, scale=2.0, **options):
        """The drawing as the bytes of a PNG file, ``scale`` pixels per unit of the SVG; options as of ``svg``.

        Needs nothing but NumPy: letters come with the package. Where ``theme`` is not given it is light.

        >>> import chainrule as cr
        >>> cr.graph("x * y", x=2, y=3).png(scale=1)[1:4]
        b'PNG'
        """
        return paint.png(self.svg(**options), scale)

    def pdf(self, **options):
        """The drawing as the bytes of a PDF file: vectors, and text that can be searched; options as of ``svg``.

        >>> import chainrule as cr
        >>> cr.graph("x * y", x=2, y=3).pdf()[:8]
        b'%PDF-1.7'
        """
        return paint.pdf(self.svg(**options))

    def html(self, *, most=READABLE):
        """The page: one HTML file, as text, that needs neither a server nor the network.

        It shows values, gradients, rules and source lines, steps forward and backward, opens and closes modules,
        shows paths with their products, and computes small graphs anew when an input is edited.
        most: boxes shown at first; None opens everything.

        >>> import chainrule as cr
        >>> cr.graph("x * y", x=2, y=3).html()[:15]
        '<!DOCTYPE html>'
        """
        return page.html(self, most=most)

    def show(self, *, static=False, **options):
        """Open the page in the browser, from a temporary file whose path is returned; in a notebook, display it.

        static: the SVG in place of the page; so do options of ``svg``.
        """
        return show.show(self, static=static, **options)

    def _repr_svg_(self):
        return self.svg()

    def _repr_html_(self):
        return show.frame(self)

    def _repr_mimebundle_(self, include=None, exclude=None):
        found = show.bundle(self)
        return {k: v for k, v in found.items() if (not include or k in include) and k not in (exclude or ())}

    def draw(self, width=None, *, forward=None, **options):
        """The drawing in characters, at most ``width`` columns wide (default: the terminal's width).

        forward: see ``picture``.  options: see ``chainrule.graphs.terminal.draw`` (``most``, ``open``, ``depth``).
        What does not fit becomes a listing.
        """
        return draw(picture(self, forward=forward), width, **options)

    def save(self, path, **options):
        """Write the graph to a file whose ending says how.

        .svg, .png, .pdf, .html (the page), .txt (the drawing in characters), .dot, .json.  options: those of the method
        of that name.  Raises ArgumentValueError for another ending.
        """
        ending = Path(path).suffix.lower()
        writers = {
            ".svg": self.svg, ".png": self.png, ".pdf": self.pdf, ".html": self.html, ".txt": self.draw,
            ".dot": self.to_dot, ".json": self.to_json,
        }  # fmt: skip
        writer = writers.get(ending)
        if writer is None:
            raise ArgumentValueError(f"save: expected a file ending in {', '.join(writers)}, got {str(path)!r}")
        made = writer(**options)
        Path(path).write_bytes(made.encode("utf-8") if isinstance(made, str) else made)

    def __str__(self):
        return export.listing(self)
