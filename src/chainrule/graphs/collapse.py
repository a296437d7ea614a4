"""A large picture made readable: modules become boxes, and blocks that repeat fold into one, "×12".

One box stands for one call of a module: nodes computed one after the other. So whatever is closed, arrows still go from
earlier boxes to later ones, also where a module is called twice.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from .picture import Arrow, Box, Picture

READABLE = 60  # boxes that a drawing has at most, where modules allow it


def collapse(picture: Picture, most: int = READABLE) -> Picture:
    """The picture with modules closed, from the innermost out, until it has at most ``most`` boxes.

    A closed module is one box of the kind "module", with the value and the gradient of what it computed last; arrows
    that several nodes shared become one. Inputs and outputs stay, and so does what belongs to no module: a picture
    without modules is returned as it is.

    >>> boxes = [Box(0, "input", "x"), *[Box(i, "operator", "exp", "exp", module="net.first") for i in (1, 2, 3)]]
    >>> boxes.append(Box(4, "output", "y", "sum"))
    >>> small = collapse(Picture(boxes, [Arrow(i, i + 1) for i in range(4)]), 3)
    >>> [box.label for box in small.nodes], [(arrow.source, arrow.target) for arrow in small.edges]
    (['x', 'net.first', 'y'], [(0, 3), (3, 4)])
    """
    if len(picture.nodes) <= most:
        return picture
    found = picture
    for depth in range(max([_depth(box) for box in picture.nodes], default=0), 0, -1):
        found = _close(picture, depth)
        if len(found.nodes) <= most:
            break
    return found


def _depth(box: Box) -> int:
    """How deep in modules a box stands; 0 for what is never put into a box."""
    return box.module.count(".") + 1 if box.module and box.operator and box.kind != "output" else 0


def _close(picture: Picture, depth: int) -> Picture:
    """Close all modules that are ``depth`` levels deep."""
    calls, group = _calls(picture, depth)
    _adopt(picture, calls, group)
    read = {a.source for a in picture.edges if group.get(a.source) is not group.get(a.target)}
    boxes = []
    for box in picture.nodes:
        call = group.get(box.id)
        if call is None:
            boxes.append(box)
        elif box is call.inside[-1]:  # where its last value stands in the order of computation
            boxes.append(_module(call, read))
    arrows, drawn = [], set()
    for arrow in picture.edges:
        a, b = group.get(arrow.source), group.get(arrow.target)
        if a is None and b is None:
            arrows.append(arrow)
        elif a is not b:
            ends = a.inside[-1].id if a else arrow.source, b.inside[-1].id if b else arrow.target
            if ends not in drawn:
                drawn.add(ends)
                arrows.append(Arrow(*ends, argument=arrow.argument))
    return Picture(boxes, arrows, picture.title)


@dataclass
class _Call:
    """A module's call, or several alike one after the other: its path, the last one's, how many, what they computed."""

    path: str
    last: str
    count: int
    inside: list[Box]
    leaves: list[Box] = field(default_factory=list)


def _calls(picture: Picture, depth: int) -> tuple[list[_Call], dict[int, _Call]]:
    """The calls of modules ``depth`` levels deep, and the one that each computed node belongs to."""
    found: list[_Call] = []
    before = None
    for box in picture.nodes:
        if not box.operator:
            continue
        path = ".".join(box.module.split(".")[:depth]) if _depth(box) >= depth else None
        if path is not None and path == before:
            found[-1].inside.append(box)
        elif path is not None:
            found.append(_Call(path, path, 1, [box]))
        else:
            found.append(_Call("", "", 0, [box]))  # a node between modules: nothing folds across it
        before = path
    folded: list[_Call] = []
    for call in found:
        previous = folded[-1] if folded else None
        if previous and call.count and _follows(previous.last, call.path) and _alike(previous, call):
            previous.inside += call.inside
            previous.last = call.path
            previous.count += 1
        else:
            folded.append(call)
    folded = [call for call in folded if call.count]
    return folded, {box.id: call for call in folded for box in call.inside}


def _follows(first: str, second: str) -> bool:
    """Whether the second path is the first with the next number."""
    parent, _, number = first.rpartition(".")
    other, _, following = second.rpartition(".")
    return parent == other and number.isdecimal() and following.isdecimal() and int(following) == int(number) + 1


def _alike(first: _Call, second: _Call) -> bool:
    """Whether a call computes by the same operators as (each of) the calls before it."""
    per_call = len(first.inside) // first.count
    return [box.operator for box in first.inside[-per_call:]] == [box.operator for box in second.inside]


def _adopt(picture: Picture, calls: list[_Call], group: dict[int, _Call]) -> None:
    """Parameters and constants that one call alone reads go into its box."""
    users: dict[int, set[int]] = {}
    for arrow in picture.edges:
        users.setdefault(arrow.source, set()).add(id(group.get(arrow.target)))
    by_id = {id(call): call for call in calls}
    for box in picture.nodes:
        readers = users.get(box.id, set())
        if box.kind in ("parameter", "constant") and not box.operator and len(readers) == 1:
            call = by_id.get(next(iter(readers)))
            if call is not None:
                call.leaves.append(box)
                group[box.id] = call


def _module(call: _Call, read: set[int]) -> Box:
    """The box of a call, with the value that the rest of the picture reads last."""
    label = call.path
    if call.count > 1:
        label += f"…{call.last.rpartition('.')[2]} ×{call.count}"
    operators = Counter(box.operator for box in call.inside)
    parts = [f"{name} ×{n}" if n > 1 else name for name, n in operators.most_common(6)]
    made_of = f"{call.path}: {', '.join(parts)}{', …' if len(operators) > 6 else ''}"
    parameters = sum(box.kind == "parameter" for box in call.leaves)
    if parameters:
        made_of += f"; {parameters} parameters"
    last = call.inside[-1]
    result = next((box for box in reversed(call.inside) if box.id in read), last)
    return replace(result, id=last.id, kind="module", label=label, operator="", module=made_of, source="")
