"""The bare tensor: an array and its gradient state. `tensor/` gives it PyTorch's methods.

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
    _cell = None  # [version]: shared by all views of one memory; None: never changed in place, no views
    _base = None  # for a view: the tensor that owns the memory
    _view = None  # for a view: how to make it from the base, a list of (primitive, inputs, params)
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
        cell = self._cell
        if cell is None:
            self._cell = [1]
        else:
            cell[0] += 1

    def _shared_cell(self):
        cell = self._cell
        if cell is None:
            cell = self._cell = [0]
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
