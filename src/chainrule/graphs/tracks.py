"""Lines on a grid of characters: what runs between two ranks gets tracks, so that no two lines lie on one another.

The classic channel router (Hashimoto and Stevens 1971; doglegs after Deutsch 1976): a line enters at its row, runs
level to its track, along the track, and level out at its rows. All lines of one value share one track.
"""

from dataclasses import dataclass, field

BACK, AHEAD, UP, DOWN = 1, 2, 4, 8  # the sides of a cell that a line touches


@dataclass
class Trunk:
    """A line's stretch along a track, from row ``enters`` to the rows ``leaves``."""

    net: int
    enters: int
    leaves: list[int]
    after: set[int] = field(default_factory=set)  # trunks whose tracks come earlier
    track: int = -1
    joint: int = -1  # for the second half of a dogleg: the trunk that it goes on from

    @property
    def low(self) -> int:
        return min(self.enters, *self.leaves)

    @property
    def high(self) -> int:
        return max(self.enters, *self.leaves)


def _constrain(trunks: list[Trunk]) -> None:
    """Where one line enters at a row and another leaves at it, the first must turn off earlier."""
    entering = {t.enters: i for i, t in enumerate(trunks) if t.joint < 0}
    for i, t in enumerate(trunks):
        t.after = {entering[y] for y in t.leaves if entering.get(y, i) != i}
        if t.joint >= 0:
            t.after.add(t.joint)


def assign(nets: dict[int, tuple[int, list[int]]]) -> tuple[list[Trunk], list[tuple[int, int]], int]:
    """Tracks for one gap. nets: by value, the row where it enters and the rows where it leaves.

    Returns the trunks, the lines ``(net, row)`` that run straight through, and the number of tracks.
    """
    straight = [(net, y) for net, (y, rows) in nets.items() if set(rows) == {y}]
    trunks = [Trunk(net, y, sorted(set(rows))) for net, (y, rows) in nets.items() if set(rows) != {y}]
    used = {y for y, _ in nets.values()} | {y for _, rows in nets.values() for y in rows}
    _constrain(trunks)
    left, placed = list(range(len(trunks))), 0
    while left:
        ready = [i for i in left if all(trunks[j].track >= 0 for j in trunks[i].after)]
        if not ready:  # lines that wait for one another: one of them changes rows halfway
            i = min(left, key=lambda i: (trunks[i].joint >= 0, trunks[i].high - trunks[i].low, i))
            t = trunks[i]
            away = 1
            while t.enters + away in used and (t.enters - away in used or t.enters < away):
                away += 1
            row = t.enters + away if t.enters + away not in used else t.enters - away
            used.add(row)
            trunks.append(Trunk(t.net, row, t.leaves, joint=i))
            t.leaves = [row]
            left.append(len(trunks) - 1)
            _constrain(trunks)
            continue
        for i in sorted(ready, key=lambda i: (trunks[i].low, i)):
            t = trunks[i]
            track = max([trunks[j].track for j in t.after], default=-1) + 1
            while any(o.track == track and o.low <= t.high and t.low <= o.high for o in trunks if o is not t):
                track += 1
            t.track = track
            placed = max(placed, track + 1)
        left = [i for i in left if trunks[i].track < 0]
    return trunks, straight, placed


class Canvas:
    """Cells of lines and texts, by (main, cross)."""

    def __init__(self):
        self.lines: dict[tuple[int, int], dict[int, int]] = {}
        self.texts: dict[tuple[int, int], str] = {}

    def touch(self, main: int, cross: int, net: int, bits: int) -> None:
        cell = self.lines.setdefault((main, cross), {})
        cell[net] = cell.get(net, 0) | bits

    def level(self, start: int, stop: int, cross: int, net: int) -> None:
        """A line along the main direction through the cells start to stop - 1, open at both ends."""
        for m in range(start, stop):
            self.touch(m, cross, net, BACK | AHEAD)

    def trunks(self, start: int, width: int, trunks: list[Trunk], straight: list[tuple[int, int]]) -> None:
        """Draw one gap that begins at ``start``; its first cell is left free of tracks."""
        for net, row in straight:
            self.level(start, start + width, row, net)
        for t in trunks:
            at = start + 1 + t.track
            begin = start if t.joint < 0 else start + 2 + trunks[t.joint].track
            ahead = any(o.joint >= 0 and trunks[o.joint] is t for o in trunks)
            self.level(begin, at, t.enters, t.net)
            self.touch(at, t.enters, t.net, BACK)
            for row in t.leaves:
                self.touch(at, row, t.net, AHEAD)
                if not ahead:
                    self.level(at + 1, start + width, row, t.net)
            for row in range(t.low, t.high):
                self.touch(at, row, t.net, DOWN)
                self.touch(at, row + 1, t.net, UP)


_CHARACTERS = {
    BACK: "─", AHEAD: "─", UP: "│", DOWN: "│", BACK | AHEAD: "─", UP | DOWN: "│", BACK | UP: "╯", BACK | DOWN: "╮",
    AHEAD | UP: "╰", AHEAD | DOWN: "╭", BACK | AHEAD | UP: "┴", BACK | AHEAD | DOWN: "┬", BACK | UP | DOWN: "┤",
    AHEAD | UP | DOWN: "├", BACK | AHEAD | UP | DOWN: "┼",
}  # fmt: skip


def character(cell: dict[int, int], downwards: bool) -> str:
    """The character of a cell. Where two values cross, the line along the track passes over the other."""
    bits = list(cell.values())
    crossing = len(bits) > 1 and all(b in (BACK | AHEAD, UP | DOWN) for b in bits)
    merged = UP | DOWN if crossing and UP | DOWN in bits else 0
    if not merged:
        for b in bits:
            merged |= b
    if downwards:  # (x, y) = (cross, main): the sides trade places
        merged = (merged & 3) << 2 | (merged & 12) >> 2
    return _CHARACTERS[merged]
