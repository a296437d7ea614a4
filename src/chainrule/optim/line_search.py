"""A line search for the strong Wolfe conditions (Nocedal & Wright, algorithms 3.5 and 3.6; after minFunc)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Point = tuple[float, float, np.ndarray, float]  # step length, value, gradient, slope along the direction


def cubic_interpolate(
    x1: float, f1: float, g1: float, x2: float, f2: float, g2: float, bounds: tuple[float, float] | None = None
) -> float:
    """The minimum of the cubic through two points with their slopes, kept within ``bounds``."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square**0.5
    # Flat data make 0/0; PyTorch's tensors give NaN there, and the comparisons below must see the same.
    if x1 <= x2:
        position = x2 - (x2 - x1) * _divide(g2 + d2 - d1, g2 - g1 + 2 * d2)
    else:
        position = x1 - (x1 - x2) * _divide(g1 + d2 - d1, g1 - g2 + 2 * d2)
    return min(max(position, low), high)


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return float("nan") if a == 0 or a != a else float("inf") if a > 0 else float("-inf")


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, np.ndarray]],
    t: float,
    direction: np.ndarray,
    f: float,
    g: np.ndarray,
    slope: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_evaluations: int = 25,
) -> tuple[float, np.ndarray, float, int]:
    """Find a step length along ``direction``; returns (value, gradient, length, number of evaluations).

    ``evaluate(t)`` gives value and gradient at length ``t``; ``f``, ``g``, ``slope`` are those at 0.
    """

    def at(length: float) -> Point:
        value, gradient = evaluate(length)
        return length, value, gradient, float(gradient.dot(direction))

    largest = float(np.abs(direction).max())
    new = at(t)
    evaluations, iteration, done = 1, 0, False
    previous: Point = (0, f, g, slope)
    bracket: list[Point] = []
    # First phase: grow the step until an interval holds an acceptable point.
    while iteration < max_evaluations:
        t, value, _, new_slope = new
        if value > f + c1 * t * slope or (iteration > 1 and value >= previous[1]):
            bracket = [previous, new]
            break
        if abs(new_slope) <= -c2 * slope:
            bracket, done = [new], True
            break
        if new_slope >= 0:
            bracket = [previous, new]
            break
        bounds = (t + 0.01 * (t - previous[0]), t * 10)
        t = cubic_interpolate(previous[0], previous[1], previous[3], t, value, new_slope, bounds)
        previous, new = new, at(t)
        evaluations += 1
        iteration += 1
    if iteration == max_evaluations:
        bracket = [(0, f, g, slope), new]

    # Second phase: shrink the interval.
    stalled = False
    low, high = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    while not done and iteration < max_evaluations:
        a, b = bracket[0][0], bracket[1][0]
        if abs(b - a) * largest < tolerance_change:
            break
        t = cubic_interpolate(a, bracket[0][1], bracket[0][3], b, bracket[1][1], bracket[1][3])
        left, right = min(a, b), max(a, b)
        # Two proposals in a row close to an end mean the cubic misleads: go a tenth of the interval inside.
        eps = 0.1 * (right - left)
        if min(right - t, t - left) < eps:
            if stalled or t >= right or t <= left:
                t = right - eps if abs(t - right) < abs(t - left) else left + eps
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = at(t)
        evaluations += 1
        iteration += 1
        _, value, _, new_slope = new
        if value > f + c1 * t * slope or value >= bracket[low][1]:
            bracket[high] = new
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(new_slope) <= -c2 * slope:
                done = True
            elif new_slope * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    t, value, gradient, _ = bracket[low]
    return value, gradient, t, evaluations
