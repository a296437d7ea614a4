"""What is too large and has no modules (any more) to close: loops, source lines and stretches become boxes.

Every box stands for nodes computed one after the other, so arrows still go from earlier boxes to later ones.
"""

import numpy as np

from .group import Call, grouped
from .picture import Box, Picture

_LONGEST = 400  # operators of one turn of a loop that is looked for


def folded(picture: Picture, most: int) -> Picture:
    """The picture with at most ``most`` boxes (5 if that is less); as it is, where it has no more.

    First steps that repeat: the first turn of a loop stays, its other turns become one box, "×49"; then all turns;
    then what one source line computed; then equal stretches of the whole. Leaves that only the same box reads become
    one, where there are still too many.
    """
    found = picture
    for step in (_turns(1), _turns(0), _lines):
        if len(found.nodes) <= most:
            return found
        found = step(picture if step is not _lines else found)
        if len(found.nodes) > most:
            few = _leaves(found)
            if len(few.nodes) <= most:
                return few
    if len(found.nodes) <= most:
        return found
    return _leaves(_stretches(found, max(1, (most - 3) // 2)), anything=True)


def _computed(picture: Picture) -> list[Box]:
    return [box for box in picture.nodes if box.operator or box.kind == "module"]


def _turns(shown: int):
    """Fold repeated sequences of operators, but for the first ``shown`` turns."""

    def step(picture: Picture) -> Picture:
        boxes = _computed(picture)
        numbers: dict[tuple, int] = {}
        keys = [numbers.setdefault(_key(box), len(numbers)) for box in boxes]
        calls = []
        for start, period, times in repeats(np.array(keys, np.int64)):
            inside = boxes[start + shown * period : start + times * period]
            left = times - shown
            first, last = inside[0].source, inside[period - 1].source
            names = list(dict.fromkeys([b.label if b.kind == "module" else b.operator for b in inside[:period]]))
            what = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
            where = first if first == last else f"{first} …"
            label = f"{what} ×{left}" if left > 1 else what
            calls.append(Call(label, where, left, inside, whole=True, adopts=False))
        return grouped(picture, calls)

    return step


def _key(box: Box) -> tuple:
    """What two boxes have in common that stand at the same place of a loop; an output is like nothing else."""
    return (box.operator or box.label, box.source, box.module) if box.kind != "output" else (box.id,)


def repeats(keys: np.ndarray) -> list[tuple[int, int, int]]:
    """``(start, period, times)`` of stretches that repeat at least three times, none overlapping; the longest first.

    >>> repeats(np.array([9, 1, 2, 1, 2, 1, 2, 8]))
    [(1, 2, 3)]
    """
    found = []
    n = len(keys)
    for period in range(1, min(n // 3, _LONGEST) + 1):
        same = np.zeros(n - period + 2, np.int8)
        same[1:-1] = keys[period:] == keys[:-period]
        change = np.diff(same)
        starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
        for start, end in zip(starts[ends - starts >= 2 * period], ends[ends - starts >= 2 * period], strict=True):
            times = (int(end - start) + period) // period
            found.append(((times - 1) * period, -period, int(start), times))
    taken = np.zeros(n, bool)
    chosen = []
    for _, period, start, times in sorted(found, key=lambda x: (-x[0], -x[1], x[2])):
        if not taken[start : start - period * times].any():
            taken[start : start - period * times] = True
            chosen.append((start, -period, times))
    return sorted(chosen)


def _lines(picture: Picture) -> Picture:
    """What one source line computed, one node after the other, becomes one box."""
    calls: list[Call] = []
    before = None
    for box in _computed(picture):
        place = box.source if box.kind == "operator" else ""
        if place and place == before:
            calls[-1].inside.append(box)
        else:
            calls.append(Call(place, place, 1, [box], whole=True, adopts=False))
        before = place
    return grouped(picture, [call for call in calls if len(call.inside) > 1])


def _stretches(picture: Picture, count: int) -> Picture:
    """All that is computed in ``count`` boxes; a single output stays one."""
    boxes = _computed(picture)
    if sum([box.kind == "output" for box in boxes]) == 1 and boxes[-1].kind == "output":
        boxes.pop()
    size = -(-len(boxes) // count)
    calls = []
    for start in range(0, len(boxes), size):
        inside = boxes[start : start + size]
        label = f"{inside[0].label} … {inside[-1].label}" if len(inside) > 1 else inside[0].label
        calls.append(Call(label, "", 1, inside, whole=True))
    return grouped(picture, [call for call in calls if len(call.inside) > 1])


def _leaves(picture: Picture, anything: bool = False) -> Picture:
    """Leaves of one kind that the same boxes read become one; ``anything``: of any kind that one box reads first."""
    place = {box.id: i for i, box in enumerate(picture.nodes)}
    readers: dict[int, list[int]] = {}
    for arrow in picture.edges:
        readers.setdefault(arrow.source, []).append(place[arrow.target])
    sets: dict[tuple, list[Box]] = {}
    for box in picture.nodes:
        if not box.operator and box.kind in ("input", "parameter", "constant"):
            own = sorted(set(readers.get(box.id, [-1])))
            sets.setdefault((own[0],) if anything else (box.kind, *own), []).append(box)
    calls = []
    for boxes in sets.values():
        if len(boxes) > 1:
            label = f"{boxes[0].label} … {boxes[-1].label} ({len(boxes)})"
            calls.append(Call(label, "", 1, boxes, whole=True))
    found = grouped(picture, calls)
    # A box of leaves stands where its first one stood: before all that reads it.
    first = {call.inside[-1].id: place[call.inside[0].id] for call in calls}
    order = sorted(found.nodes, key=lambda box: first.get(box.id, place[box.id]))
    return Picture(order, found.edges, found.title, found.groups, found.notes)
