"""The base class: shapes, validation and expansion, the same for every distribution."""

from numbers import Number

from numpy import ndarray

from .. import ops
from ..config import enable_grad, get_default_dtype, no_grad
from ..devices import Size
from ..errors import ArgumentValueError
from ..handle import Tensor


def broadcast_all(*values):
    """Numbers and tensors as tensors of one shape; a number takes the dtype of the first tensor.

    Raises ArgumentValueError for anything else.
    """
    for value in values:
        if not isinstance(value, Number | Tensor):
            raise ArgumentValueError(
                f"Input arguments must all be instances of Number or Tensor, but got {type(value).__name__}"
            )
    dtype = next((value.dtype for value in values if isinstance(value, Tensor)), get_default_dtype())
    tensors = [value if isinstance(value, Tensor) else ops.tensor(value, dtype=dtype) for value in values]
    return ops.broadcast_tensors(*tensors)


def _holds(constraint, value):
    """Whether all of ``value`` is allowed; not asked while values are unknown, inside vmap and tracing."""
    return type(value._data) is not ndarray or bool(constraint.check(value)._data.all())


class lazy_property:
    """A parameter computed from another one when first asked for, then kept in the instance."""

    def __init__(self, compute):
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        with enable_grad():
            value = instance.__dict__[self.name] = self.compute(instance)
        return value


class Distribution:
    """A probability distribution over tensors of shape ``event_shape``, ``batch_shape`` of them side by side.

    A subclass names its parameters and what they may be in ``arg_constraints``, and its values in ``support``.

    Raises:
        ValueError: a parameter that violates its constraint, unless ``validate_args=False``.
    """

    arg_constraints = {}
    support = None
    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value):
        """Switch validation on or off for all distributions made from now on."""
        if value not in (True, False):
            raise ArgumentValueError(f"set_default_validate_args expected True or False, but got {value!r}")
        Distribution._validate_args = value

    def _check_parameters(self):
        for name, constraint in self.arg_constraints.items():
            if name not in self.__dict__:
                continue
            value = self.__dict__[name]
            if not _holds(constraint, value):
                raise ArgumentValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _validate_sample(self, value):
        """Raises ArgumentValueError unless ``value`` has a fitting shape and lies in the support."""
        if not isinstance(value, Tensor):
            raise ArgumentValueError("The value argument to log_prob must be a Tensor")
        shape, events = value.shape, len(self._event_shape)
        if tuple(shape[len(shape) - events :]) != tuple(self._event_shape):
            raise ArgumentValueError(
                f"The right-most size of value must match event_shape: {shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ArgumentValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {shape} vs {Size(expected)}."
                )
        support = self.support
        if not _holds(support, value):
            raise ArgumentValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    @property
    def batch_shape(self):
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one sample, without batching."""
        return self._event_shape

    def expand(self, batch_shape):
        """The same distribution with its parameters expanded (without copy) to ``batch_shape``."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._batch_shape = Size(batch_shape)
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                own = value.shape[value.dim() - constraint.event_dim :]
                new.__dict__[name] = value.expand(tuple(batch_shape) + tuple(own))
        return new

    @property
    def mean(self):
        raise self._missing("mean")

    @property
    def mode(self):
        raise self._missing("mode")

    @property
    def variance(self):
        raise self._missing("variance")

    @property
    def stddev(self):
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape=()):
        """A draw of shape ``sample_shape + batch_shape + event_shape``, without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """A draw through which gradients reach the parameters."""
        raise self._missing("rsample")

    def log_prob(self, value):
        """The logarithm of the density or probability of ``value``."""
        raise self._missing("log_prob")

    def cdf(self, value):
        """The probability of a draw up to ``value``."""
        raise self._missing("cdf")

    def icdf(self, value):
        """The inverse of ``cdf``."""
        raise self._missing("icdf")

    def enumerate_support(self, expand=True):
        """All values, along a new first dim."""
        raise self._missing("enumerate_support")

    def entropy(self):
        """The entropy, of shape ``batch_shape``."""
        raise self._missing("entropy")

    def perplexity(self):
        """``exp(entropy)``."""
        return ops.exp(self.entropy())

    def _missing(self, name):
        return NotImplementedError(f"{type(self)} does not implement {name}")

    def _extended_shape(self, sample_shape=()):
        return Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _enumerate(self, values, expand):
        """``values``, a vector, along a new first dim before the batch."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def __repr__(self):
        parameters = ((name, self.__dict__[name]) for name in self.arg_constraints if name in self.__dict__)
        described = (f"{name}: {value if value.numel() == 1 else value.shape}" for name, value in parameters)
        return f"{type(self).__name__}({', '.join(described)})"
