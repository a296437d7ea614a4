"""What the kernels of products share: their arguments and the place in the batch."""

from chainrule.compiler.kernel import Kernel
from chainrule.compiler.products.text import NAMES, Text


class Frame:
    """The outer function of a kernel while it is written: ``text`` takes the lines, ``pointers`` are the operands."""

    def __init__(self, name, q, operands, target):
        self.name, self.q = name, q
        self.scalar = NAMES[q.dtype]
        t = self.text = Text(target)
        t.lines.append(f"define void @{name}(ptr %args, i64 %begin, i64 %end, ptr %scratch) nounwind {{")
        t.block("start")
        # "a", "b", "c" or "work", in the kernel's order
        self.pointers = {o: t.let(f"load ptr, ptr {t.at('%args', 'ptr', i)}, align 8") for i, o in enumerate(operands)}

    def within(self, index):
        """The addresses of a, b and c in element ``index`` of the batch; None for what is no operand."""
        t = self.text
        offsets = [0] * 3
        for size, *steps in reversed(self.q.batch):
            here = t.rem(index, size)
            index = t.div(index, size)
            offsets = [t.add(o, t.mul(here, step)) for o, step in zip(offsets, steps, strict=True)]
        found = [self.pointers.get(name) for name in "abc"]
        return [p if p is None else t.at(p, self.scalar, o) for p, o in zip(found, offsets, strict=True)]

    def kernel(self, texts, declared, **fields):
        """The finished kernel; ``texts`` are the functions beside it."""
        t = self.text
        t.emit("ret void")
        t.lines.append("}")
        needs = tuple(sorted(declared | t.declared))
        text = "\n\n".join(["\n".join(t.lines), *texts])
        return Kernel(name=self.name, text=text, operands=len(self.pointers), needs=needs, **fields)
