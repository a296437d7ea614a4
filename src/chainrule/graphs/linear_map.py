"""The derivative of a tensor with respect to a tensor: a linear map, applied without ever being written out."""

import math

import numpy as np

from ..errors import ShapeError, UnsupportedError

LARGEST_DENSE = 10_000_000  # elements of a matrix that is written out


class LinearMap:
    """A linear map from arrays of shape ``source`` to arrays of shape ``target``.

    ``apply(v)`` is forward mode, ``transpose(g)`` reverse mode. ``dense()`` writes the Jacobian out, with shape
    ``target + source``; ``np.asarray(map)`` does the same.

    >>> import chainrule as cr
    >>> edge = cr.graph("x * x", x=[1, 2]).edges[0]
    >>> edge.local
    <LinearMap [2] → [2]>
    >>> edge.local.dense()
    array([[1., 0.],
           [0., 2.]])
    >>> edge.local.transpose([1, 1])
    array([1., 2.])
    """

    def __init__(self, source, target, dtype, apply, transpose):
        self.source, self.target = tuple(source), tuple(target)
        self.dtype = dtype
        self._apply, self._transpose = apply, transpose

    def _fit(self, x, shape, what):
        x = np.asarray(x, self.dtype)
        if x.shape != shape:
            raise ShapeError(f"LinearMap.{what}: expected an array of shape {shape}, got {x.shape}")
        return x

    def apply(self, v):
        """The change of the target when the source changes by ``v``. Raises ShapeError for another shape."""
        result = self._apply(self._fit(v, self.source, "apply"))
        return np.zeros(self.target, self.dtype) if result is None else np.broadcast_to(result, self.target)

    def transpose(self, g):
        """The gradient of the source when that of the target is ``g``. Raises ShapeError for another shape."""
        result = self._transpose(self._fit(g, self.target, "transpose"))
        return np.zeros(self.source, self.dtype) if result is None else np.broadcast_to(result, self.source)

    def dense(self):
        """The Jacobian as an array of shape ``target + source``. Raises UnsupportedError if it is too large."""
        rows, columns = math.prod(self.target), math.prod(self.source)
        if rows * columns > LARGEST_DENSE:
            raise UnsupportedError(
                f"the Jacobian would have {rows}×{columns} elements; use apply(v) or transpose(g), which need no matrix"
            )
        out = np.zeros((rows, columns), self.dtype)
        for i, part, by_row in self._parts():
            if by_row:
                out[i] = part
            else:
                out[:, i] = part
        return out.reshape(self.target + self.source)

    def _parts(self):
        """The rows, or the columns if there are fewer, one at a time."""
        by_row = math.prod(self.target) <= math.prod(self.source)
        shape, move = (self.target, self.transpose) if by_row else (self.source, self.apply)
        for i in range(math.prod(shape)):
            unit = np.zeros(shape, self.dtype)
            unit.flat[i] = 1
            yield i, move(unit).reshape(-1), by_row

    def norm(self, ord="fro", iterations=100):
        """The Frobenius norm, or with ``ord=2`` the largest stretch, by power iteration."""
        if ord == "fro":
            return math.sqrt(sum(float(np.sum(np.square(part, dtype=np.float64))) for _, part, _ in self._parts()))
        if ord != 2:
            raise UnsupportedError(f"LinearMap.norm: ord must be 'fro' or 2, got {ord!r}")
        v = np.linspace(1.0, 2.0, max(1, math.prod(self.source))).astype(self.dtype).reshape(self.source)
        found = 0.0
        for _ in range(iterations):
            length = float(np.linalg.norm(v))
            if length == 0:
                return 0.0
            image = self.apply(v / length)
            before, found = found, float(np.linalg.norm(image))
            if abs(found - before) <= 1e-12 * found:
                break
            v = self.transpose(image)
        return found

    def __matmul__(self, other):
        """First ``other``, then this map; or ``map @ array``."""
        if not isinstance(other, LinearMap):
            return self.apply(other)
        if other.target != self.source:
            raise ShapeError(f"these maps do not follow one another: {other.target} does not fit {self.source}")
        return LinearMap(
            other.source,
            self.target,
            self.dtype,
            lambda v: self.apply(other.apply(v)),
            lambda g: other.transpose(self.transpose(g)),
        )

    def __array__(self, dtype=None, copy=None):
        return self.dense() if dtype is None else self.dense().astype(dtype)

    def __repr__(self):
        return f"<LinearMap {list(self.source)} → {list(self.target)}>"
