"""The kernel of a product: chunks, blocks of K, packing, and a micro-kernel per tile."""

from math import ceil

from chainrule.compiler.products.frame import Frame
from chainrule.compiler.products.micro import Access, Micro, micro_kernel
from chainrule.compiler.products.names import name_of
from chainrule.compiler.products.pack import block_depth, copy_panels, copy_rows, gather, turn_columns
from chainrule.compiler.products.text import NAMES, SIZES

_SHORT = {"float32": "f32", "float64": "f64"}


def blocked(q, cut, target):
    """The kernel for a product in normal form, cut as ``cut`` says."""
    return _Writer(q, cut, target).kernel()


class _Writer:
    def __init__(self, q, cut, target):
        self.q, self.cut, self.target = q, cut, target
        self.scalar, self.size = NAMES[q.dtype], SIZES[q.dtype]
        key = (q, cut, target.cpu, target.vector_bytes)
        self.name = name_of(f"mm_{_SHORT[q.dtype]}_{q.m}x{q.n}x{q.k}", key)
        self.helpers, self.declared = {}, set()
        self.blocks = ceil(q.k / cut.k_block) if q.k else 1
        self.depth = max(min(q.k, cut.k_block), 1)
        self.panel = self.depth * cut.width  # elements of one packed panel of B
        self.per_chunk = ceil(cut.column_tiles / cut.column_chunks)
        self.a_line = 64 // self.size  # rows of one panel of A

    # Functions beside the kernel, written when first used.

    def _helper(self, key, write):
        if key not in self.helpers:
            name = f"{self.name}_{len(self.helpers)}"
            text, declared = write(name)
            self.helpers[key] = (name, text)
            self.declared |= declared
        return self.helpers[key][0]

    def micro(self, rows, group):
        q, cut, size = self.q, self.cut, self.size
        lines = (min(8, q.k) + 1) if q.k else 1
        sums = rows * group.vectors
        ways = 1
        while sums * ways < 8 and ways < 4 and q.k >= 4:
            ways *= 2
        step = max(ways, 4 if sums <= 8 else 2)
        if lines <= step:
            step = ways = 1
        access = Access(
            dtype=q.dtype,
            a_row=1 if cut.pack_a else q.a_row,
            a_col=self.a_line if cut.pack_a else q.a_col,
            b_row=group.width if cut.pack_b else q.b_row,
            b_whole=bool(cut.pack_b),
            b_align=size * group.lanes if cut.pack_b else size,
            c_row=q.c_row,
            k_step=step,
            k_rest=bool(q.k % step or cut.k_block % step),
            ways=ways,
            add=q.accumulate,
            add_from=self.blocks > 1 and not q.accumulate,
        )
        micro = Micro(rows, group.vectors, group.lanes, group.masked)
        return self._helper((micro, access), lambda name: micro_kernel(name, micro, access, self.target))

    def packer(self, group):
        q, kind, vectors, lanes = self.q, self.cut.pack_b, group.vectors, group.lanes
        shallowest = q.k - (self.blocks - 1) * self.cut.k_block

        def write(name):
            if kind == "copy":
                return copy_rows(name, q.dtype, vectors, lanes, group.masked, q.b_row, self.target)
            if kind == "turn" and lanes > 1 and shallowest >= block_depth(lanes, self.size):
                return turn_columns(name, q.dtype, vectors, lanes, group.masked, q.b_col, self.target)
            return gather(name, q.dtype, vectors, lanes, q.b_row, q.b_col, self.target)

        return self._helper(("b", vectors, lanes, group.masked), write)

    def packer_of_a(self):
        q, lanes = self.q, min(self.a_line, self.target.lanes(self.size))
        panel = self.depth * self.a_line

        def write(name):
            return copy_panels(name, q.dtype, q.m, self.a_line, lanes, q.a_col, panel, self.target)

        return self._helper("a", write)

    # The kernel itself.

    def kernel(self):
        q, cut = self.q, self.cut
        frame = self.frame = Frame(self.name, q, ("a", "b", "c"), self.target)
        t = self.t = frame.text
        held = "%held"
        t.emit(f"{held} = alloca i64, align 8")
        t.emit(f"store i64 -1, ptr {held}, align 8")
        with t.loop("%begin", "%end") as chunk:
            self._chunk(chunk, held)
        return frame.kernel(
            [text for _, text in self.helpers.values()],
            self.declared,
            chunks=q.batches * cut.row_chunks * cut.column_chunks,
            scratch=self._scratch(),
            flops=q.flops,
            bytes=q.bytes,
            title=f"matmul {q.m}x{q.n}x{q.k}" + (f" x{q.batches}" if q.batches > 1 else ""),
        )

    def _scratch(self):
        total = self._a_place() * self.size
        return total + self.cut.pack_a * self.depth * self.a_line * self.size

    def _a_place(self):
        """Where the packed A begins, in elements."""
        return self.per_chunk * self.panel if self.cut.pack_b else 0

    def _chunk(self, chunk, held):
        q, cut, t, scalar = self.q, self.cut, self.t, self.scalar
        block, outer = t.rem(chunk, cut.row_chunks), t.div(chunk, cut.row_chunks)
        side, index = t.rem(outer, cut.column_chunks), t.div(outer, cut.column_chunks)
        a, b, c = self.frame.within(index)
        t0 = t.mul(block, cut.row_step)
        t1 = t.least(t.add(t0, cut.row_step), cut.row_tiles)
        u0 = t.mul(side, self.per_chunk)
        u1 = t.least(t.add(u0, self.per_chunk), cut.column_tiles)
        if cut.row_chunks == 1:
            t0, t1 = 0, cut.row_tiles
        if cut.column_chunks == 1:
            u0, u1 = 0, cut.column_tiles

        def part(i):
            k0 = t.mul(i, cut.k_block)
            count = q.k if self.blocks == 1 else t.least(t.sub(q.k, k0), cut.k_block)
            more = "false" if self.blocks == 1 else t.let(f"icmp ne i64 {i}, 0")

            def row(tile, here):
                self._row(tile, here, b, c, k0, count, more, u0, u1)

            if cut.pack_b:
                self._pack(b, k0, count, u0, u1, outer, held)
            if not cut.pack_a:
                with t.loop(t0, t1) as tile:
                    here = t.at(a, scalar, t.mul(k0, q.a_col))
                    row(tile, here)
                return
            tiles = self.a_line // cut.height  # in a panel; chunks begin with a panel
            with t.loop(t0, t1, cut.pack_a * tiles) as first:
                last = t.least(t.add(first, cut.pack_a * tiles), t1)
                to = t.at("%scratch", scalar, self._a_place())
                here = t.at(a, scalar, t.mul(k0, q.a_col))
                p0, p1 = t.div(first, tiles), t.div(t.add(last, tiles - 1), tiles)
                t.emit(f"call void @{self.packer_of_a()}(ptr {here}, ptr {to}, i64 {count}, i64 {p0}, i64 {p1})")
                with t.loop(first, last) as tile:
                    inside = t.sub(tile, first)
                    place = t.mul(t.div(inside, tiles), self.depth * self.a_line)
                    place = t.add(place, t.mul(t.rem(inside, tiles), cut.height))
                    row(tile, t.at(to, scalar, place))

        if self.blocks == 1:
            part(0)
        else:
            with t.loop(0, self.blocks) as i:
                part(i)

    def _each(self, groups, index, act):
        """``act(group)`` for the group in which tile ``index`` lies."""
        if len(groups) == 1:
            act(groups[0])
            return
        end = groups[0].first + groups[0].tiles
        self.t.either(self.t.less(index, end), lambda: act(groups[0]), lambda: self._each(groups[1:], index, act))

    def _pack(self, b, k0, count, u0, u1, outer, held):
        q, t, scalar = self.q, self.t, self.scalar

        def pack():
            if self.cut.pack_b != "copy" or self.per_chunk == 1:
                part(0, count)
                return
            # A few rows of all tiles, then the next: memory is read in long pieces.
            with t.loop(0, count, 16) as start:
                part(start, t.least(t.sub(count, start), 16))

        def part(start, depth):
            with t.loop(u0, u1) as tile:
                panel = t.at("%scratch", scalar, t.mul(t.sub(tile, u0), self.panel))

                def fill(group):
                    column = t.add(t.mul(t.sub(tile, group.first), group.width), group.start)
                    row = t.add(k0, start)
                    source = t.at(b, scalar, t.add(t.mul(row, q.b_row), t.mul(column, q.b_col)))
                    to = t.at(panel, scalar, t.mul(start, group.width))
                    left = self._left(group, column) if self.cut.pack_b == "copy" else t.sub(q.n, column)
                    t.emit(f"call void @{self.packer(group)}(ptr {source}, ptr {to}, i64 {depth}, i64 {left})")

                self._each(self.cut.columns, tile, fill)

        if self.blocks > 1:
            pack()
            return
        # Chunks that follow each other often share their part of B.
        before = t.let(f"load i64, ptr {held}, align 8")
        t.either(t.let(f"icmp ne i64 {before}, {outer}"), pack)
        t.emit(f"store i64 {outer}, ptr {held}, align 8")

    def _left(self, group, column):
        """How many lanes of the last vector of a tile exist."""
        if not group.masked:
            return group.lanes
        return self.t.least(self.t.sub(self.q.n, self.t.add(column, group.width - group.lanes)), group.lanes)

    def _row(self, tile, a, b, c, k0, count, more, u0, u1):
        q, cut, t, scalar = self.q, self.cut, self.t, self.scalar

        def rows_of(rows):
            row = t.add(t.mul(t.sub(tile, rows.first), rows.rows), rows.start)
            here = a if cut.pack_a else t.at(a, scalar, t.mul(row, q.a_row))
            line = t.at(c, scalar, t.mul(row, q.c_row))
            with t.loop(u0, u1) as side:

                def columns_of(group):
                    column = t.add(t.mul(t.sub(side, group.first), group.width), group.start)
                    if cut.pack_b:
                        there = t.at("%scratch", scalar, t.mul(t.sub(side, u0), self.panel))
                    else:
                        there = t.at(b, scalar, t.add(t.mul(k0, q.b_row), column))
                    out = t.at(line, scalar, column)
                    left = self._left(group, column)
                    t.emit(
                        f"call void @{self.micro(rows.rows, group)}(ptr {here}, ptr {there}, ptr {out}, "
                        f"i64 {count}, i64 {left}, i1 {more})"
                    )

                self._each(cut.columns, side, columns_of)

        self._each(cut.rows, tile, rows_of)
