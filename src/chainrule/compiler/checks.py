"""What a compiled step checks while it runs (indices, mostly), and the error when it fails: the one that the eager
operator raises. Nothing is written yet when that is known (commit.py), so the operator can be asked again."""

import numpy as np

from ..errors import ChainruleError
from ..node import site_text
from .reference import run
from .symbol import Symbol


class Check:
    """value: true if something is wrong.  again: (function, arrays) or None; the function raises the eager error for
    the arrays, of which some are symbols.  site: the user's line."""

    def __init__(self, value, error, message, again, site):
        self.value, self.error, self.message, self.again, self.site = value, error, message, again, site

    def failed(self, program, arrays):
        """The error. ``arrays``: those of the program's inputs at this call."""
        error = self.error(self.message)
        try:
            if self.again is not None:
                self.ask(dict(zip(program.inputs, arrays, strict=True)) | program.constants)
        except ChainruleError as told:
            error = told
        except Exception:  # the operator has other troubles with arrays that are made up in part
            pass
        return type(error)(f"{error} (at {site_text(self.site)})")

    def ask(self, known):
        """Call the eager operator with the arrays on which the check depends; the others are zeros."""
        needed, queue = {}, [self.value]
        for v in queue:
            if v not in needed:
                needed[v] = None
                if v.instr is not None:
                    queue.extend(v.instr.inputs)
        if any(v.instr is not None and v.instr.op == "call" for v in needed):
            return  # it may draw random numbers, which would be others now
        known = {v: a for v, a in known.items() if v in needed}

        def value(v):
            todo = [v]
            while todo:
                x = todo[-1]
                missing = [u for u in x.instr.inputs if u not in known] if x not in known else []
                if missing:
                    todo += missing
                    continue
                if x not in known:
                    with np.errstate(all="ignore"):
                        known[x] = run(x.instr, [known[u] for u in x.instr.inputs])
                todo.pop()
            return known[v]

        def array(a):
            if type(a) is not Symbol:
                return a
            v = a.value
            if v in needed or (v.instr is not None and v.instr.op == "view" and v.instr.inputs[0] in needed):
                return np.array(value(v), v.dtype)
            return np.zeros(v.shape, v.dtype)

        function, arrays = self.again
        function(*[array(a) for a in arrays])
