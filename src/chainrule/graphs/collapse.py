"""A large picture made readable: modules become boxes, and blocks that repeat fold into one, "×12".

One box stands for one call of a module: nodes computed one after the other. So whatever is closed, arrows still go from
earlier boxes to later ones, also where a module is called twice. What modules leave too large, ``fold`` makes smaller.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from ..errors import ArgumentValueError
from .fold import folded
from .group import Call, grouped
from .picture import Box, Group, Picture

READABLE = 60  # boxes that a drawing has at most


def collapse(
    picture: Picture, most: int | None = READABLE, *, open: str | list[str] = (), depth: int | None = None
) -> Picture:
    """The picture with modules closed, from the innermost out, until it has at most ``most`` boxes.

    A closed module is one box of the kind "module", with the value and the gradient of what it computed last; arrows
    that several nodes shared become one. Inputs and outputs stay. If that is not enough, or there are no modules,
    steps that repeat fold ("×50"), then what one source line computed, then stretches of the computation.
    open: paths of modules (or patterns such as ``"layers.*"``) whose contents are shown; frames are drawn around them.
    depth: how many levels of modules are opened, whatever ``most`` says: 0 closes all.
    most: None closes only what ``depth`` says. Raises ArgumentValueError where ``open`` names no module.

    >>> from chainrule.graphs.picture import Arrow
    >>> boxes = [Box(0, "input", "x"), *[Box(i, "operator", "exp", "exp", module="net.first") for i in (1, 2, 3)]]
    >>> boxes.append(Box(4, "output", "y", "sum"))
    >>> small = collapse(Picture(boxes, [Arrow(i, i + 1) for i in range(4)]), 3)
    >>> [box.label for box in small.nodes], [(arrow.source, arrow.target) for arrow in small.edges]
    (['x', 'net.first', 'y'], [(0, 3), (3, 4)])
    """
    if most is not None and (type(most) is not int or most < 1):
        raise ArgumentValueError(f"most: expected a positive number of boxes or None, got {most!r}")
    if depth is not None and (type(depth) is not int or depth < 0):
        raise ArgumentValueError(f"depth: expected a number of levels, 0 or more, or None, got {depth!r}")
    paths = _paths(picture)
    opened = _opened(paths, [open] if isinstance(open, str) else list(open))
    deepest = max([path.count(".") + 1 for path in paths], default=0)
    if depth is not None:
        found = _closed(picture, opened, depth)
        return framed(found, picture, lambda path: path in opened or path.count(".") < depth)
    if most is None or len(picture.nodes) <= most:
        return framed(picture, picture, opened.__contains__)
    found = picture
    for level in range(deepest, -1, -1):
        found = _closed(picture, opened, level) if level < deepest or opened else picture
        if len(found.nodes) <= most:
            return framed(found, picture, opened.__contains__)
    if opened:  # asked for, and so shown, however large
        return framed(found, picture, opened.__contains__)
    return folded(found, most)


def depth_of(box: Box) -> int:
    """How deep in modules a box stands; 0 for what is never put into a box."""
    return box.module.count(".") + 1 if box.module and box.operator and box.kind != "output" else 0


def _paths(picture: Picture) -> set[str]:
    """The paths of all modules that computed something, and of those around them."""
    found: set[str] = set()
    for box in picture.nodes:
        path = box.module if depth_of(box) else ""
        while path and path not in found:
            found.add(path)
            path = path.rpartition(".")[0]
    return found


def _opened(paths: set[str], wanted: list[str]) -> set[str]:
    """The modules that are asked for and, to show them, those around them."""
    found: set[str] = set()
    for pattern in wanted:
        here = [path for path in paths if fnmatchcase(path, pattern)]
        if not here:
            some = ", ".join(sorted(paths, key=lambda p: (p.count("."), p))[:12])
            raise ArgumentValueError(
                f"open: no module called {pattern!r} computed anything; there are: {some or 'none'}"
            )
        for path in here:
            while path:
                found.add(path)
                path = path.rpartition(".")[0]
    return found


def _closed(picture: Picture, opened: set[str], level: int) -> Picture:
    """All modules closed but those in the first ``level`` levels and those that are opened."""
    known: dict[str, str | None] = {}

    def place(box: Box) -> str | None:
        if not depth_of(box):
            return None
        if box.module not in known:
            parts = box.module.split(".")
            prefixes = [".".join(parts[:k]) for k in range(1, len(parts) + 1)]
            shut = [p for k, p in enumerate(prefixes) if k >= level and p not in opened]
            known[box.module] = shut[0] if shut else None
        return known[box.module]

    return grouped(picture, _calls(picture, place))


def _calls(picture: Picture, place: Callable[[Box], str | None]) -> list[Call]:
    """The calls of closed modules, in order; calls alike one after the other are one."""
    found: list[Call] = []
    before = None
    for box in picture.nodes:
        if not box.operator:
            continue
        path = place(box)
        if path is not None and path == before:
            found[-1].inside.append(box)
        elif path is not None:
            found.append(Call(path, path, 1, [box]))
        else:
            found.append(Call("", "", 0, [box]))  # a node between modules: nothing folds across it
        before = path
    calls: list[Call] = []
    for call in found:
        previous = calls[-1] if calls else None
        if previous and call.count and _follows(previous.last, call.label) and _alike(previous, call):
            previous.inside += call.inside
            previous.last = call.label
            previous.count += 1
        else:
            calls.append(call)
    return [call for call in calls if call.count]


def _follows(first: str, second: str) -> bool:
    """Whether the second path is the first with the next number."""
    parent, _, number = first.rpartition(".")
    other, _, following = second.rpartition(".")
    return parent == other and number.isdecimal() and following.isdecimal() and int(following) == int(number) + 1


def _alike(first: Call, second: Call) -> bool:
    """Whether a call computes by the same operators as (each of) the calls before it."""
    per_call = len(first.inside) // first.count
    return [box.operator for box in first.inside[-per_call:]] == [box.operator for box in second.inside]


def framed(found: Picture, whole: Picture, opened: Callable[[str], bool]) -> Picture:
    """The picture with a frame around what each call of an opened module computed.

    found: the picture with other modules closed; whole: the one before, which knows the module of every node.
    """
    module = {box.id: box.module for box in whole.nodes if depth_of(box)}
    groups: list[Group] = []
    running: list[int] = []  # the frames around the node before, from the outermost
    home: dict[int, int] = {}
    for box in found.nodes:
        if not box.operator and box.kind != "module":
            continue
        path = module.get(box.id, "")
        parts = path.split(".") if path else []
        prefixes = [".".join(parts[:k]) for k in range(1, len(parts) + 1)]
        mine = [p for p in prefixes if opened(p)]
        if box.kind == "module" and mine and mine[-1] == path and box.label == path:
            mine.pop()  # closed itself
        keep = 0
        while keep < min(len(mine), len(running)) and groups[running[keep]].label == mine[keep]:
            keep += 1
        running = running[:keep]
        for p in mine[keep:]:
            groups.append(Group(p, [], running[-1] if running else -1))
            running.append(len(groups) - 1)
        if running:
            home[box.id] = running[-1]
            groups[running[-1]].members.append(box.id)
    if not groups:
        return found
    readers: dict[int, set[int]] = {}
    for arrow in found.edges:
        readers.setdefault(arrow.source, set()).add(home.get(arrow.target, -1))
    for box in found.nodes:  # parameters and constants of one frame alone stand in it
        own = readers.get(box.id, {-1})
        if box.kind in ("parameter", "constant") and not box.operator and len(own) == 1 and own != {-1}:
            groups[next(iter(own))].members.append(box.id)
    return Picture(found.nodes, found.edges, found.title, groups, found.notes)
