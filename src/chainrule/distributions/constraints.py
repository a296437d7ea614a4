"""What a parameter or a value of a distribution may be. A constraint checks a tensor by elements or by events."""

import numpy as np

from ..handle import Tensor, wrap


def _array(bound):
    """A bound, a number or a tensor, as NumPy takes it."""
    return bound._data if isinstance(bound, Tensor) else bound


class Constraint:
    """A set of allowed values.

    ``check(value)`` gives a bool tensor, shaped like the value without its last ``event_dim`` dims. A subclass defines
    ``allows`` on the value's array, or ``check`` itself.
    """

    is_discrete = False
    event_dim = 0

    def check(self, value):
        return wrap(self.allows(value._data))

    def allows(self, x):
        raise NotImplementedError(f"{type(self).__name__} defines neither check nor allows")

    def __repr__(self):
        bounds = ", ".join(f"{name}={bound}" for name, bound in vars(self).items())
        return f"{type(self).__name__.lstrip('_')}({bounds})"


class _Real(Constraint):
    def allows(self, x):
        return x == x  # only NaN differs from itself


class _Boolean(Constraint):
    is_discrete = True

    def allows(self, x):
        return (x == 0) | (x == 1)


class _GreaterThan(Constraint):
    def __init__(self, lower_bound):
        self.lower_bound = lower_bound

    def allows(self, x):
        return x > _array(self.lower_bound)


class _GreaterThanEq(_GreaterThan):
    def allows(self, x):
        return x >= _array(self.lower_bound)


class _LessThan(Constraint):
    def __init__(self, upper_bound):
        self.upper_bound = upper_bound

    def allows(self, x):
        return x < _array(self.upper_bound)


class _Interval(Constraint):
    def __init__(self, lower_bound, upper_bound):
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound

    def allows(self, x):
        return (x >= _array(self.lower_bound)) & (x <= _array(self.upper_bound))


class _IntegerInterval(_Interval):
    is_discrete = True

    def allows(self, x):
        return super().allows(x) & (x % 1 == 0)


class _Simplex(Constraint):
    event_dim = 1

    def allows(self, x):
        return (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6)


class _IndependentConstraint(Constraint):
    """An event of ``base_constraint``'s elements over the last dims is allowed when all of them are."""

    def __init__(self, base_constraint, reinterpreted_batch_ndims):
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self):
        return self.base_constraint.is_discrete

    @property
    def event_dim(self):
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value):
        result = self.base_constraint.check(value)._data
        return wrap(result.all(tuple(range(-self.reinterpreted_batch_ndims, 0))))

    def __repr__(self):
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


real = _Real()
boolean = _Boolean()
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
unit_interval = _Interval(0.0, 1.0)
simplex = _Simplex()
real_vector = _IndependentConstraint(real, 1)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
interval = _Interval
integer_interval = _IntegerInterval
independent = _IndependentConstraint
