"""A gradient written out as the chain rule has it: a sum over paths of products of local derivatives."""

from itertools import islice

import numpy as np

from .numbers import factor, number, text
from .paths import path_counts, paths, waists
from .rules import derivative

LONGEST = 6  # paths that are written out one by one
MOST_TERMS, _FIRST, _LAST = 24, 10, 2  # terms of a sum that are written out; of a longer one the first and the last


class Explanation:
    """How ∂target/∂source comes about. ``str()`` gives text; ``latex()`` and ``table()`` the other forms.

    value: the derivative (the sum).  count: how many paths there are.  terms: ``(symbols, factors, product)`` per term.
    by: "paths" where every path is a term, "steps" where there are too many: one term per use of the source.
    """

    def __init__(self, graph, source, target, by="auto"):
        self.graph, self.source, self.target = graph, source, target
        self.count = path_counts(graph, source, target).get(target.id, 0)
        if by == "auto":
            by = "paths" if self.count <= LONGEST else "steps"
        self.by = by
        self.terms = []
        if source is not target:
            self.terms = self.path_terms() if by == "paths" else self.step_terms()
        self.value = self.total()

    def path_terms(self):
        terms = []
        for path in paths(self.graph, self.source, self.target):
            edges = path.edges[::-1]
            symbols = [(*parts(e), e.target.name, e.source.name) for e in edges]
            terms.append((symbols, [e.local if e.scalar else None for e in edges], path.product))
        return terms

    def step_terms(self):
        """∂e/∂b = Σ ∂e/∂c · ∂c/∂b over the nodes c that b is read by; the first factors are whole derivatives."""
        terms = []
        gradients = self.gradients()
        for e in self.source.outgoing:
            g = gradients.get(e.target.id)
            if not e.flows or g is None:
                continue
            symbols = [("", self.target.name, e.target.name), (*parts(e), e.target.name, e.source.name)]
            if e.scalar:
                factors = [float(g.reshape(-1)[0]), e.local]
                product = factors[0] * factors[1]
                if e.target is self.target:
                    symbols, factors = symbols[1:], factors[1:]
            else:
                factors, product = [None, None], e.pull(g)
            terms.append(([s if len(s) == 3 else s for s in symbols], factors, product))
        return terms

    def gradients(self):
        """The derivative of the target with respect to every node on the way, for a target of one element."""
        found = {self.target.id: self.graph.seed(self.target)}
        counts = path_counts(self.graph, self.source, self.target)
        for k in sorted(counts, reverse=True):
            g = found.get(k)
            if g is None:
                continue
            for e in self.graph.nodes[k].incoming:
                if e.flows and e.source.id in counts:
                    part = e.pull(g)
                    if part is not None:
                        before = found.get(e.source.id)
                        found[e.source.id] = part if before is None else before + part
        return found

    def total(self):
        if self.source is self.target:
            return 1.0 if self.source.size == 1 else np.ones(self.source.shape)
        total = 0.0
        for _, _, product in self.terms:
            if not isinstance(product, (float, np.ndarray)):  # to a tensor: a matrix, on demand
                product = product.dense()
            total = total + product
        return total

    # ---- text

    @property
    def text(self):
        """``∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5``."""
        head = f"∂{self.target.name}/∂{self.source.name}"
        if not self.terms:
            return f"{head} = {self.shown()}" + (" (no path)" if self.source is not self.target else "")
        lines = [head, added("·".join(sign(*s) for s in symbols) for symbols, _, _ in self.terms)]
        if lines[0] == lines[1]:
            lines.pop()
        if all(f is not None for _, factors, _ in self.terms for f in factors):
            numbers = added("·".join(factor(f) for f in factors) for _, factors, _ in self.terms)
            if numbers != self.shown():
                lines.append(numbers)
        elif len(self.terms) > 1:
            lines.append(added(text(np.asarray(p)) for _, _, p in self.terms))
        lines.append(self.shown())
        note = f"  (a sum over {self.count} paths)" if self.by == "steps" else ""
        return " = ".join(lines) + note

    def shown(self):
        return number(self.value) if isinstance(self.value, float) else text(self.value)

    def latex(self):
        r"""``\frac{\partial e}{\partial b} = …``, without dollar signs."""
        head = fraction("", self.target.name, self.source.name)
        lines = [
            head,
            added((r" \cdot ".join(fraction(*s) for s in symbols) for symbols, _, _ in self.terms), r"\cdots"),
        ]
        if not self.terms or lines[0] == lines[1]:
            lines.pop()
        if self.terms and all(f is not None for _, factors, _ in self.terms for f in factors):
            numbers = added((r" \cdot ".join(factor(f) for f in factors) for _, factors, _ in self.terms), r"\cdots")
            if numbers != self.shown():
                lines.append(numbers)
        lines.append(self.shown().replace("…", r"\ldots ").replace("×", r"\times "))
        return " = ".join(lines)

    def table(self):
        """One row per term: the way, the local derivatives as formulas, as numbers, and the product."""
        rows = [("path", "derivatives", "numbers", "product")]
        for i, (symbols, factors, product) in enumerate(self.terms):
            if MOST_TERMS < len(self.terms) and _FIRST <= i < len(self.terms) - _LAST:
                if i == _FIRST:
                    rows.append((f"… {len(self.terms) - _FIRST - _LAST} more", "", "", ""))
                continue
            way = " ← ".join([symbols[0][1], *[s[2] for s in symbols]])
            rows.append(
                (
                    way,
                    "·".join(sign(*s) for s in symbols),
                    "·".join("…" if f is None else factor(f) for f in factors),
                    number(product) if isinstance(product, float) else text(np.asarray(product)),
                )
            )
        rows.append(("sum", "", "", self.shown()))
        widths = [max(len(r[i]) for r in rows) for i in range(4)]
        return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)

    @property
    def factored_differs(self):
        """Whether there is something to factor: a node that all of several paths pass on their way."""
        return len(waists(self.graph, self.source, self.target)) > 2

    def factored(self):
        """The same sum with common factors taken out, where all paths pass through one node: (α + β + γ)·(δ + ε + ζ).

        Between two such nodes the sum over the ways is one factor; formulas where they are short, and numbers.
        """
        stops = waists(self.graph, self.source, self.target)
        formulas, numbers = [], []
        for a, b in zip(stops[:-1], stops[1:], strict=True):
            ways = list(islice(paths(self.graph, a, b), LONGEST + 1))
            if len(ways) > LONGEST or not all(e.scalar for w in ways for e in w.edges):
                whole = Explanation(self.graph, a, b, "steps")
                formulas.append(f"∂{b.name}/∂{a.name}")
                numbers.append(factor(whole.value))
                continue
            names = [way_formula(w) for w in ways]
            formulas.append(f"({' + '.join(names)})" if len(names) > 1 else names[0])
            values = [factor(w.product) for w in ways]
            numbers.append(f"({' + '.join(values)})" if len(values) > 1 else values[0])
        head = f"∂{self.target.name}/∂{self.source.name}"
        if not formulas:
            return f"{head} = {self.shown()}"
        sums = [" + " in f or " - " in f or f.startswith("-") for f in formulas]
        if len(formulas) > 1:
            formulas = [f"({f})" if s and not f.startswith("(") else f for f, s in zip(formulas, sums, strict=True)]
        keep = [i for i, f in enumerate(formulas) if f != "1"] or [0]
        return " = ".join(
            [
                head,
                "·".join(formulas[i] for i in reversed(keep)),
                "·".join(numbers[i] for i in reversed(keep)),
                self.shown(),
            ]
        )

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<Explanation {self.text}>"

    def _repr_latex_(self):
        return f"${self.latex()}$"


def added(terms, dots="…"):
    """A sum; of a very long one the first and the last terms."""
    terms = list(terms)
    if len(terms) > MOST_TERMS:
        terms = [*terms[:_FIRST], dots, *terms[-_LAST:]]
    return " + ".join(terms)


def parts(edge):
    """How an edge's derivative is marked: with the argument's number if the source is read twice by one call."""
    twice = sum([e.source is edge.source for e in edge.target.incoming]) > 1
    return (str(edge.argument + 1) if twice else "",)


def sign(mark, target, source):
    return f"∂{mark.translate(_LOW)}{target}/∂{source}"


def fraction(mark, target, source):
    low = f"_{{{mark}}}" if mark else ""
    return rf"\frac{{\partial{low} {name(target)}}}{{\partial {name(source)}}}"


def name(text):
    r"""A name in LaTeX: one letter as it is, longer ones upright."""
    if len(text) == 1:
        return text
    return r"\mathrm{" + "".join(rf"\{c}" if c in "_#%&$" else c for c in text) + "}"


def way_formula(path):
    """The product of a path's local derivatives as formulas with the names of the values; factors 1 left out."""
    found = []
    for e in reversed(path.edges):
        call = e.target.call
        names = [e.target.graph.nodes[k].name if k is not None else "?" for k in call.inputs]
        f = derivative(call, e.argument, names, e.target.name) or f"∂{e.target.name}/∂{e.source.name}"
        if f != "1":
            found.append(f"({f})" if (" " in f or f.startswith("-")) and len(path.edges) > 1 else f)
    return "·".join(found) or "1"


_LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
