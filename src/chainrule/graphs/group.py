"""Several nodes of a picture as one box."""

from collections import Counter
from dataclasses import dataclass, field, replace

from .picture import Arrow, Box, Picture


@dataclass
class Call:
    """What becomes one box: nodes computed one after the other.

    label: what stands in the box, or the path of the first of several modules; last: the path of the last of them.
    count: how many calls. whole: the label is complete, nothing is added.
    """

    label: str
    last: str
    count: int
    inside: list[Box]
    leaves: list[Box] = field(default_factory=list)
    whole: bool = False
    adopts: bool = True  # takes parameters and constants in that it alone reads


def grouped(picture: Picture, calls: list[Call]) -> Picture:
    """The picture with a box for every call."""
    group = {box.id: call for call in calls for box in call.inside}
    _adopt(picture, calls, group)
    read = {a.source for a in picture.edges if group.get(a.source) is not group.get(a.target)}
    boxes = []
    for box in picture.nodes:
        call = group.get(box.id)
        if call is None:
            boxes.append(box)
        elif box is call.inside[-1]:  # where its last value stands in the order of computation
            boxes.append(_box(call, read))
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
    return replace(picture, nodes=boxes, edges=arrows)


def _adopt(picture: Picture, calls: list[Call], group: dict[int, Call]) -> None:
    """Parameters and constants that one call alone reads go into its box."""
    users: dict[int, set[int]] = {}
    for arrow in picture.edges:
        users.setdefault(arrow.source, set()).add(id(group.get(arrow.target)))
    by_id = {id(call): call for call in calls if call.adopts}
    for box in picture.nodes:
        readers = users.get(box.id, set())
        if box.kind in ("parameter", "constant") and not box.operator and len(readers) == 1 and box.id not in group:
            call = by_id.get(next(iter(readers)))
            if call is not None:
                call.leaves.append(box)
                group[box.id] = call


def _box(call: Call, read: set[int]) -> Box:
    """The box of a call, with the value that the rest of the picture reads last."""
    label = call.label
    if call.count > 1 and not call.whole:
        label += f"…{call.last.rpartition('.')[2]} ×{call.count}"
    operators = Counter(box.operator for box in call.inside if box.operator)
    parts = [f"{name} ×{n}" if n > 1 else name for name, n in operators.most_common(6)]
    made_of = f"{call.label}: {', '.join(parts)}{', …' if len(operators) > 6 else ''}"
    parameters = sum(box.kind == "parameter" for box in call.leaves)
    if parameters:
        made_of += f"; {parameters} parameters"
    last = call.inside[-1]
    result = next((box for box in reversed(call.inside) if box.id in read), last)
    kind = "module" if operators else last.kind
    return replace(result, id=last.id, kind=kind, label=label, operator="", module=made_of, source=last.source)
