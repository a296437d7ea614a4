"""The linear, bilinear and reduction families: what the author writes is in ARCHITECTURE.md; here is what follows from
it."""

from .base import Primitive, PrimitiveNode, position_names, reads


class LinearNode(PrimitiveNode):
    __slots__ = ()

    def pull(self, o, g, edges):
        _, *xs = self.unpack(o.recorded)
        prim = self.primitive
        linear_in = prim.linear_in
        if linear_in is None:  # in all inputs
            return prim.transpose(o, g, self.shapes, **self.params)
        gi = prim.transpose(o, g, self.shapes, *[x for i, x in enumerate(xs) if i not in linear_in], **self.params)
        if len(xs) == 1:
            return (gi,)
        grads = [None] * len(xs)
        for i, part in zip(linear_in, (gi,) if len(linear_in) == 1 else gi, strict=True):
            grads[i] = part
        return grads


class Linear(Primitive):
    """Linear in the inputs ``linear_in`` (None: all of them); the others are read by the rule but have no gradient."""

    family = "linear"
    node_base = LinearNode

    def __init__(self, name, kernel, transpose, *, linear_in=(0,), **kw):
        self.transpose = transpose
        self.linear_in = linear_in
        super().__init__(name, kernel, **kw)
        self.differentiable = True

    def make_plan(self, wanted):
        n = len(wanted)
        plan = [False] * (n + 1)
        if self.linear_in is not None:
            names, star = position_names(self.transpose, 3)
            used = reads(self.transpose)
            rest = [i for i in range(n) if i not in self.linear_in]
            for k, i in enumerate(rest):
                plan[i + 1] = (names[k] in used) if k < len(names) else star in used
        return tuple(plan)

    def record(self, inputs, arrays, out, result, params):
        linear_in = self.linear_in
        if linear_in is not None and not any(
            inputs[i] is not None and (inputs[i]._requires_grad or inputs[i]._base is not None) for i in linear_in
        ):
            return
        super().record(inputs, arrays, out, result, params)


class BilinearNode(PrimitiveNode):
    __slots__ = ()

    def pull(self, o, g, edges):
        _, a, b = self.unpack(o.recorded)
        prim, s, params = self.primitive, self.shapes, self.params
        return (
            None if edges[0] is None else prim.left(o, g, s, b, **params),
            None if edges[1] is None else prim.right(o, g, s, a, **params),
        )


class Bilinear(Primitive):
    """Linear in each of two inputs: ``left(o, g, s, b)`` and ``right(o, g, s, a)`` are the transposes in the first and
    the second."""

    family = "bilinear"
    node_base = BilinearNode

    def __init__(self, name, kernel, left, right, **kw):
        self.left = left
        self.right = right
        super().__init__(name, kernel, **kw)
        self.differentiable = True

    def make_plan(self, wanted):
        return (False, wanted[1], wanted[0])


class ReductionNode(PrimitiveNode):
    __slots__ = ()

    def pull(self, o, g, edges):
        y, x = self.unpack(o.recorded)
        return (self.spread(o, g) * self.partial(o, y, x),)

    def spread(self, o, t):
        """Give a result its reduced dimensions back, with size 1."""
        dim = self.params["dim"]
        kept = kept_shape(self.shapes[0], dim)
        return t if t.shape == kept else o.reshape(t, shape=kept)

    def partial(self, o, y, x):
        if y is not None:
            y = self.spread(o, y)
        return self.primitive.partial(o, y, x, **{k: v for k, v in self.params.items() if k != "keepdim"})


class Reduction(Primitive):
    """Reduces the dimensions ``dim`` (a tuple of negative ints, empty for a 0-d input): ``partial(o, y, x, *, dim)``
    is ∂y/∂x with y kept-dim."""

    family = "reduction"
    node_base = ReductionNode

    def __init__(self, name, kernel, partial, **kw):
        self.partial = partial
        super().__init__(name, kernel, **kw)
        self.differentiable = partial is not None

    def rules_read(self, wanted):
        return [(self.partial, 1)]


def kept_shape(shape, dim):
    """``shape`` with size 1 at the dimensions ``dim`` (negative ints)."""
    out = list(shape)
    for d in dim:
        out[d] = 1
    return tuple(out)


def linear(name, kernel, transpose, **kw):
    """An operator of the linear family: see Linear."""
    return Linear(name, kernel, transpose, **kw)


def bilinear(name, kernel, left, right, **kw):
    """An operator of the bilinear family: see Bilinear."""
    return Bilinear(name, kernel, left, right, **kw)


def reduction(name, kernel, partial, **kw):
    """An operator of the reduction family: see Reduction."""
    return Reduction(name, kernel, partial, **kw)
