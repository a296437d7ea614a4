"""What the kernels of products share: their arguments, the place in the batch, the epilogue."""

from chainrule.compiler.kernel import Kernel
from chainrule.compiler.loops.text import SIZES as BYTES
from chainrule.compiler.loops.text import stored
from chainrule.compiler.products.epilogue import ending
from chainrule.compiler.products.text import NAMES, Text


class Frame:
    """The outer function of a kernel while it is written: ``text`` takes the lines, ``pointers`` are the operands."""

    def __init__(self, name, q, operands, target):
        self.name, self.q, self.target = name, q, target
        self.operands = operands  # "a", "b", "c" or "work", in the kernel's order; the bias and the epilogue's follow
        self.scalar = NAMES[q.dtype]
        t = self.text = Text(target)
        t.lines.append(f"define void @{name}(ptr %args, i64 %begin, i64 %end, ptr %scratch) nounwind {{")
        t.block("start")
        if q.bias:
            self.operands = (*self.operands, "bias")
        self.count = len(self.operands) + len(q.extras)
        loaded = [t.let(f"load ptr, ptr {t.at('%args', 'ptr', i)}, align 8") for i in range(self.count)]
        self.pointers = dict(zip(self.operands, loaded, strict=False))
        self.extras = loaded[len(self.operands) :]
        if self.extras:
            t.emit(f"%extras = alloca [{len(self.extras)} x ptr], align 8")

    def within(self, index):
        """The addresses of a, b and c in element ``index`` of the batch; those of the epilogue's operands are noted."""
        t, q = self.text, self.q
        offsets = [0] * (3 + len(self.extras))
        for size, *steps in reversed(q.batch):
            here = t.rem(index, size)
            index = t.div(index, size)
            offsets = [t.add(o, t.mul(here, step)) for o, step in zip(offsets, steps, strict=True)]
        for i, (pointer, offset) in enumerate(zip(self.extras, offsets[3:], strict=True)):
            place = t.at(pointer, stored(q.epilogue.operands[i].dtype), offset)
            t.emit(f"store ptr {place}, ptr {t.at('%extras', 'ptr', i)}, align 8")
        found = [self.pointers.get(name) for name in "abc"]
        return [p if p is None else t.at(p, self.scalar, o) for p, o in zip(found, offsets, strict=False)]

    def end_rows(self, c, row, rows, first, last):
        """The epilogue for some rows and columns, if there is one."""
        if self.q.epilogue:
            self.text.emit(
                f"call void @{self.name}_end(ptr %extras, ptr {c}, i64 {row}, i64 {rows}, i64 {first}, i64 {last})"
            )

    def kernel(self, texts, declared, **fields):
        """The finished kernel; ``texts`` are the functions beside it."""
        t, q = self.text, self.q
        t.emit("ret void")
        t.lines.append("}")
        needs, support = tuple(sorted(declared | t.declared)), ()
        if q.epilogue:
            end, more, support = ending(f"{self.name}_end", q, self.target)
            texts, needs = [*texts, end], (*needs, *more)
            elements = q.elements
            fields["flops"] += q.epilogue.flops * elements
            fields["bytes"] += sum(BYTES[o.dtype] for o in q.epilogue.operands) * elements
            fields["title"] += f" + {q.epilogue.key}"
        text = "\n\n".join(["\n".join(t.lines), *texts])
        return Kernel(name=self.name, text=text, operands=self.count, needs=needs, support=support, **fields)
