"""Named results: tuples that print as PyTorch's ``torch.return_types``."""

from operator import itemgetter


class _Result(tuple):
    """A tuple with named fields. Made without ``collections.namedtuple``, which compiles source text and costs a
    millisecond each."""

    __slots__ = ()
    _fields = ()

    def __new__(cls, *values):
        if len(values) != len(cls._fields):
            raise TypeError(
                f"{cls.__name__} takes {len(cls._fields)} values ({', '.join(cls._fields)}), got {len(values)}"
            )
        return tuple.__new__(cls, values)

    @classmethod
    def _make(cls, values):
        return cls(*values)

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes):
        return type(self)(*[changes.get(name, value) for name, value in self._asdict().items()])

    def __getnewargs__(self):
        return tuple(self)

    def __repr__(self):
        lines = [f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)]
        return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(lines) + ")"


def make_result(operator, *fields):
    """A named tuple class for the results of ``operator``."""
    names = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    return type(operator, (_Result,), {"__slots__": (), "_fields": fields, **names})
