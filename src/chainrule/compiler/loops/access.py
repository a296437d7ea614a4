"""Where in a buffer each point of an iteration space reads or writes: linear functions of the space's indices.

A space is a list of sizes. A ``Place`` gives, for one value, the strides (in elements of its own C-contiguous buffer)
along each dim of the space, and an offset. Reshapes, permutations, broadcasts, slices and flips are all places, so a
view between two instructions of one group costs nothing: the producer is computed at the consumer's place.
"""

from collections import namedtuple
from math import prod

from ..ir import contiguous

Place = namedtuple("Place", "strides offset")
Split = namedtuple("Split", "dim inner")  # dim must become two, the inner one of this size


def source(value):
    """``(base, strides, offset)`` of a value: the buffer it is read from, looking through a view."""
    i = value.instr
    if i is not None and i.op == "view":
        return i.inputs[0], i.params["strides"], i.params["offset"]
    return value, contiguous(value.shape), 0


def forms(shape, place, sizes):
    """The index along each dim of ``shape`` as ``(coefficients over the space, constant)``; a ``Split`` if a dim of
    the space runs over several dims of the shape; None if the index is no linear function."""
    steps = contiguous(shape)
    rest, consts = place.offset, []
    for n, c in zip(shape, steps, strict=True):
        q, rest = divmod(rest, c) if n > 1 else (0, rest)
        consts.append(q)
    table = [[0] * len(sizes) for _ in shape]
    for d, (n, s) in enumerate(zip(sizes, place.strides, strict=True)):
        if n == 1 or s == 0:
            continue
        sign, rest = (1, s) if s > 0 else (-1, -s)
        for j, c in enumerate(steps):
            if shape[j] > 1 and rest >= c:
                q, rest = divmod(rest, c)
                table[j][d] = sign * q
        if rest:
            return None
    result = []
    for j, n in enumerate(shape):
        low = consts[j] + sum(c * (m - 1) for c, m in zip(table[j], sizes, strict=True) if c < 0)
        high = consts[j] + sum(c * (m - 1) for c, m in zip(table[j], sizes, strict=True) if c > 0)
        if low < 0 or high >= n:
            for d, c in enumerate(table[j]):
                inner = n // abs(c) if c and n % abs(c) == 0 else 0
                if inner > 1 and sizes[d] > inner and sizes[d] % inner == 0:
                    return Split(d, inner)
            return None
        result.append((tuple(table[j]), consts[j]))
    return result


def through(index, dims, shape, strides, offset):
    """The place, in a space of ``dims`` dims, read by an operand of ``shape``, whose dims are the last of those indexed
    by ``index`` (broadcast)."""
    skip = len(index) - len(shape)
    total, const = [0] * dims, offset
    for (coefs, c), size, step in zip(index[skip:], shape, strides, strict=True):
        if size == 1 or step == 0:
            continue
        const += step * c
        for d, q in enumerate(coefs):
            if q:
                total[d] += step * q
    return Place(tuple(total), const)


def split(strides, dim, inner):
    """The strides after ``dim`` became two dims, the inner one of size ``inner``."""
    s = strides[dim]
    return (*strides[:dim], s * inner, s, *strides[dim + 1 :])


def squeeze(shape):
    """``(sizes, place)``: the space of a value's own dims, without those of size 1."""
    sizes = [n for n in shape if n != 1]
    return sizes, Place(contiguous(sizes), 0)


def covers(place, sizes, count):
    """Whether the place meets each of ``count`` elements once, apart from dims along which it stands still."""
    dims = sorted((abs(s), n) for n, s in zip(sizes, place.strides, strict=True) if n > 1 and s)
    reach = 1
    for s, n in dims:
        if s != reach:
            return False
        reach *= n
    return reach == count


def still(place, sizes):
    """The dims of the space along which the place does not move."""
    return frozenset(d for d, (n, s) in enumerate(zip(sizes, place.strides, strict=True)) if n > 1 and s == 0)


def injective(strides, sizes):
    """Whether two different points of the space never meet the same element (sufficient test: nested strides)."""
    reach = 0
    for s, n in sorted((abs(s), n) for n, s in zip(sizes, strides, strict=True) if n > 1):
        if s <= reach:
            return False
        reach += s * (n - 1)
    return True


def repeats(p, shape):
    """Whether a region (``strides`` and ``offset``) of this shape may meet an element twice."""
    return not injective(p["strides"], shape)


def meet(p, q, shape):
    """Whether two regions of one shape may share an element."""
    dims = [(s, n) for s, n in zip(p["strides"], shape, strict=True) if n > 1]
    if repeats(p, shape) or dims != [(s, n) for s, n in zip(q["strides"], shape, strict=True) if n > 1]:
        return True
    return _reachable(q["offset"] - p["offset"], sorted(((abs(s), n) for s, n in dims), reverse=True))


def _reachable(distance, dims):
    """Whether ``distance`` is a sum of strides, each at most n - 1 times forth or back; the strides are nested."""
    if not dims:
        return distance == 0
    (s, n), *rest = dims
    near = distance // s
    return any(abs(k) < n and _reachable(distance - k * s, rest) for k in (near, near + 1))


def points(sizes):
    return prod(sizes)
