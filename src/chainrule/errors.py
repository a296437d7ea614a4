"""Every exception chainrule raises on purpose, in one tree.

    ChainruleError
    ├── GradientError      (RuntimeError)         the backward pass cannot do what was asked
    │   ├── FreedGraphError                       a graph was used again after its memory was released
    │   ├── InPlaceError                          a tensor that a rule needs was changed in place
    │   ├── NonFiniteError                        anomaly mode met the first NaN or infinity
    │   └── GradcheckError                        a derivative does not agree with finite differences
    ├── ShapeError         (RuntimeError)         sizes that do not fit together
    ├── DTypeError         (RuntimeError)         a dtype the operator does not take
    ├── DomainError        (RuntimeError)         values outside the operator's domain
    ├── ArgumentError      (TypeError)            an argument of the wrong kind
    ├── ArgumentValueError (ValueError)           an argument of the right kind with a value out of range
    ├── IndexRangeError    (IndexError)           a dimension or an index out of range
    ├── CaptureError       (RuntimeError)         a function that can't be compiled as it is written
    ├── LinAlgError        (RuntimeError)         a matrix that has no such decomposition
    ├── FileFormatError    (RuntimeError)         a file is damaged or not of a kind that can be loaded
    └── UnsupportedError   (NotImplementedError)  what chainrule does not have (yet)
        └── MissingError   (AttributeError)       a name of PyTorch that chainrule does not have

Each also inherits from the builtin in brackets, which is what PyTorch raises there, so code that catches those keeps
working.
A message says: operator, argument, expected, got, what to do next.
"""


class ChainruleError(Exception):
    """Base of all errors raised by chainrule."""


class GradientError(ChainruleError, RuntimeError):
    """The backward pass cannot do what was asked."""


class FreedGraphError(GradientError):
    """A graph was used again after its saved values were released."""


class InPlaceError(GradientError):
    """A tensor that a rule needs was changed in place after it was saved."""


class NonFiniteError(GradientError):
    """Anomaly mode met the first NaN or infinity."""


class GradcheckError(GradientError):
    """A derivative does not agree with finite differences."""


class ShapeError(ChainruleError, RuntimeError):
    """Sizes do not fit together."""


class DTypeError(ChainruleError, RuntimeError):
    """The operator does not take this dtype."""


class DomainError(ChainruleError, RuntimeError):
    """Values outside the operator's domain, such as an integer division by zero."""


class ArgumentError(ChainruleError, TypeError):
    """An argument is of the wrong kind."""


class ArgumentValueError(ChainruleError, ValueError):
    """An argument is of the right kind but its value is out of range."""


class IndexRangeError(ChainruleError, IndexError):
    """A dimension or an index is out of range."""


class CaptureError(ChainruleError, RuntimeError):
    """A function does something that can't be captured for compilation."""


class LinAlgError(ChainruleError, RuntimeError):
    """The matrix has no such decomposition."""


class FileFormatError(ChainruleError, RuntimeError):
    """A file is damaged, or not of a kind that can be loaded."""


class UnsupportedError(ChainruleError, NotImplementedError):
    """chainrule does not have this."""


class MissingError(UnsupportedError, AttributeError):
    """A name of PyTorch that chainrule does not have; also an AttributeError, so that ``hasattr`` says no."""
