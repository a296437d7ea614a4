"""Named results: tuples that print as PyTorch's ``torch.return_types``."""

from collections import namedtuple


def _show(self):
    lines = [f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)]
    return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(lines) + ")"


def make_result(operator, *fields):
    """A named tuple class for the results of ``operator``."""
    result = namedtuple(operator, fields)
    result.__repr__ = _show
    return result
