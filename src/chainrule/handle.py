"""The bare tensor: an array and its gradient state. `tensors/` gives it PyTorch's methods.

State that most tensors never have lives in class attributes; an instance gets its own only when it needs one.
That keeps making a tensor to two attribute writes.
"""

import numpy as np

ndarray = np.ndarray
_new = object.__new__


class Tensor:
    """A multi-dimensional array that remembers how it was computed."""

    _grad = None
    _node = None  # the graph node that made it (grad_fn); None for a leaf
    _requires_grad = False
    _output_nr = 0  # which output of _node it is
    # The version cell: None (never changed, nobody watches), [version], or [version, site of the last change]. Views
    # share their base's.
    # A tensor with a cell of length two is special (a view, one of several outputs, changed in place): the
    # spelled-out calls take the long way.
    _cell = None
    _base = None  # for a view: the tensor that owns the memory
    _view = None  # for a view: how to make it from the base, an iterable of (primitive, params)
    _seen = 0  # for a view: the version at which its _node was right
    _retains = False
    _hooks = None
    _accumulate_hooks = None
    name = None
    outputs = 1  # as an edge of the graph, a leaf is like a node with one output

    __hash__ = object.__hash__

    @staticmethod
    def _wrap(data):
        """A tensor over ``data`` without copy and without gradient."""
        t = _new(Tensor)
        t._data = data if type(data) is ndarray or not isinstance(data, (np.generic, np.ndarray)) else np.asarray(data)
        return t

    def _bump(self):
        """Say that the memory was changed in place."""
        self._special_cell()[0] += 1

    def _shared_cell(self):
        cell = self._cell
        if cell is None:
            cell = self._cell = [0]
        return cell

    def _special_cell(self):
        """The cell, made or marked as that of a special tensor."""
        cell = self._cell
        if cell is None:
            cell = self._cell = [0, None]
        elif len(cell) == 1:
            cell.append(None)
        return cell

    @property
    def _version(self):
        cell = self._cell
        return 0 if cell is None else cell[0]


def wrap(data):
    """A tensor over an array (or NumPy scalar) just computed."""
    t = _new(Tensor)
    if isinstance(data, np.generic):
        data = np.asarray(data)
    t._data = data
    return t
