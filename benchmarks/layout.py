"""Processor seconds to lay out and draw graphs of 1,000 and 10,000 nodes, with and without room for labels on edges.

`python benchmarks/layout.py`. The graphs: a chain; layers of a network; a net whose every step reads recent values; one
whose every step reads any earlier value; forward and backward of a chain, where the backward half reads the forward
half in reverse; a recurrent net, half of whose steps read one weight. A drawing takes labels up to 2,000 edges. The
aim: 1,000 nodes in 0.3 s, 10,000 in 3 s. Each figure is the best of three, or of two.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from chainrule.graphs.layout import Extent, layout
from chainrule.graphs.picture import Arrow, Box, Picture
from chainrule.graphs.svg import svg

BOX, LABEL = Extent(48, 34, 34, 14), Extent(30, 15, 3)


def edges_of(kind, n):
    """The edges of a graph of ``n`` nodes."""
    r = random.Random(0)
    if kind == "chain":
        return [(v - 1, v) for v in range(1, n)]
    if kind == "network":
        return [((v // 32 - 1) * 32 + r.randrange(32), v) for v in range(32, n) for _ in range(3)]
    if kind == "recent":
        return [(max(0, v - r.randint(1, 20)), v) for v in range(1, n) for _ in range(2)]
    if kind == "any":
        return [(r.randrange(v), v) for v in range(1, n) for _ in range(2)]
    if kind == "recurrent":
        return [(v - 1, v) for v in range(2, n)] + [(0, v) for v in range(1, n, 2)]
    return [(v - 1, v) for v in range(1, n)] + [(n - v, v) for v in range(n // 2 + 1, n)]


def seconds(action, repeats):
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        taken.append(time.process_time() - start)
    return min(taken)


def main():
    print(f"{'nodes':>6}  {'graph':18} {'edges':>6} {'layout':>8} {'with labels':>12} {'svg':>8}")
    for n, repeats in ((1000, 3), (10_000, 2)):
        for kind in ("chain", "network", "recent", "any", "there and back", "recurrent"):
            edges = edges_of(kind, n)
            plain = seconds(lambda: layout([BOX] * n, edges), repeats)  # noqa: B023
            labelled = seconds(lambda: layout([BOX] * n, edges, [LABEL] * len(edges)), repeats)  # noqa: B023
            boxes = [Box(v, "operator", "add", "add", value="0.5", gradient="1") for v in range(n)]
            text = "0.25" if len(edges) <= 2000 else ""
            picture = Picture(boxes, [Arrow(u, v, text) for u, v in edges])
            drawn = seconds(lambda: svg(picture, most=None), repeats)  # noqa: B023
            print(f"{n:6}  {kind:18} {len(edges):6} {plain:8.3f} {labelled:12.3f} {drawn:8.3f}")


if __name__ == "__main__":
    main()
