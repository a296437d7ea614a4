"""Derive the polynomials of ``chainrule.compiler.vector_math``: Remez exchange with mpmath, then rounding in turn.

``fit(f, a, b, powers, dtype)`` returns coefficients c with ``sum(c[i] * x**powers[i])`` close to ``f`` in the relative
error ``(p - f) / weight`` (weight: ``f`` itself by default). The lowest coefficient is rounded to the dtype first and
the rest fitted again, so that rounding the coefficients costs next to nothing.

    >>> coefficients, error = fit(lambda x: mp.exp(x), -0.1, 0.1, range(5), "float32")
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 50


def _solve(f, weight, powers, points):
    n = len(powers)
    a = mp.matrix(n + 1, n + 1)
    b = mp.matrix(n + 1, 1)
    for i, x in enumerate(points):
        for j, k in enumerate(powers):
            a[i, j] = mp.mpf(x) ** k
        a[i, n] = (-1) ** i * weight(x)
        b[i] = f(x)
    s = mp.lu_solve(a, b)
    return [s[j] for j in range(n)], abs(s[n])


def remez(f, weight, powers, a, b, rounds=12, grid=None):
    """The polynomial of least weighted error on [a, b], and that error."""
    n, a, b = len(powers), mp.mpf(a), mp.mpf(b)
    grid = grid or 12 * (n + 2)
    nodes = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / grid) for i in range(grid)]
    low = min(powers)  # divided out: polynomials from power 0 alternate, others need not
    table = [(x, f(x) / x**low, abs(weight(x) / x**low)) for x in nodes]
    powers = [k - low for k in powers]
    value = {x: (y, w) for x, y, w in table}
    step = (grid - 1) / n
    points = [nodes[round(i * step)] for i in range(n + 1)]
    for _ in range(rounds):
        c, level = _solve(lambda x: value[x][0], lambda x: value[x][1], powers, points)
        errors = [(sum(cj * x**k for cj, k in zip(c, powers, strict=True)) - y) / w for x, y, w in table]
        runs = []  # the largest error of each run of one sign
        for i, e in enumerate(errors):
            if runs and (errors[runs[-1]] > 0) == (e > 0):
                if abs(e) > abs(errors[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        while len(runs) > n + 1:
            runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
        worst = max(abs(e) for e in errors)
        if len(runs) < n + 1 or worst <= level * mp.mpf("1.01"):
            break
        points = [nodes[i] for i in runs]
    return c, max(abs(e) for e in errors)


def _round(c, dtype):
    return mp.mpf(float(np.float32(float(c)))) if dtype == "float32" else mp.mpf(float(c))


def fit(f, a, b, powers, dtype, weight=None, exact=()):
    """Coefficients (floats, lowest power first) and the relative error. ``exact`` maps powers to given coefficients."""
    weight = weight or f
    powers = list(powers)
    known = {k: mp.mpf(v) for k, v in dict(exact).items()}
    free = [k for k in powers if k not in known]

    def rest(x):
        return f(x) - sum(v * x**k for k, v in known.items())

    best, _ = remez(rest, weight, free, a, b)
    m = 6 * len(powers)
    a, b = mp.mpf(a), mp.mpf(b)
    nodes = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / m) for i in range(m)]
    weights = [1 / abs(weight(x)) for x in nodes]
    goal = [sum(c * x**k for c, k in zip(best, free, strict=True)) * w for x, w in zip(nodes, weights, strict=True)]
    while free:  # round the lowest, then move the others as close to the best polynomial as they come
        columns = mp.matrix([[x**k * w for k in free] for x, w in zip(nodes, weights, strict=True)])
        c = mp.lu_solve(columns, mp.matrix(goal))
        k = free.pop(0)
        known[k] = _round(c[0], dtype)
        goal = [g - known[k] * x**k * w for g, x, w in zip(goal, nodes, weights, strict=True)]
    error = max(abs(sum(known[k] * x**k for k in powers) - f(x)) * w for x, w in zip(nodes, weights, strict=True))
    return [float(known[k]) for k in powers], float(error)
