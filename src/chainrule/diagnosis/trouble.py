"""A loss or a gradient that is not finite, and an error that ended the run: what they are put down to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import IndexRangeError
from ..handle import Tensor
from ..node import Node
from .finding import Finding
from .history import History
from .non_finite import Origin, backward_origin, forward_origin, kind_of
from .plan import GROWTH, LOSSES, public_name
from .scene import Scene

DIVERGED = 30.0  # a loss that many times the first one was on its way to infinity


def explain_non_finite(
    order: list[Node], outputs: list[Tensor], scene: Scene, history: History, backward: bool = False
) -> tuple[Finding | None, bool]:
    """(finding, whether it is sure) for the graph whose loss or gradients are not finite."""
    bad_params = [n for n, p in zip(scene.names, scene.params, strict=True) if kind_of(p._data)]
    origin: Origin | None
    if backward:
        roots: dict[Any, Any] = {}
        for t in outputs:
            if t._node is not None and t._node.outputs == 1:
                roots[t._node] = np.ones_like(t._data)
        origin = backward_origin(order, roots)
    else:
        origin = forward_origin(order, outputs)
    if origin is None or (origin.outside and not bad_params):
        if bad_params:
            return _bad_parameter(bad_params, history), True
        data = history.data
        if data is not None and data.non_finite and (origin is None or origin.operator not in LOSSES):
            return _bad_data(history), False
        if origin is None:
            return None, False
        if origin.operator in LOSSES:
            return _bad_targets(origin, history), True
        origin.text = "it was given a number that is not finite by data or a constant"
        origin.remedy = "Look at the data and constants that enter here."
        return scene.non_finite(origin, history.step), False
    finding = scene.non_finite(origin, history.step)
    # Numbers that merely outgrow the dtype end a divergence; whatever else was found comes first.
    finding.consequence = origin.operator in GROWTH or bool(bad_params) or diverged(history)
    if bad_params:
        finding.evidence["parameters"] = bad_params[:4]
    return finding, True


def _bad_parameter(names: list[str], history: History) -> Finding:
    first = history.step == 0
    return Finding(
        "bad-initialisation" if first else "non-finite",
        names[0],
        f"{', '.join(names[:4])} {'holds' if len(names) == 1 else 'hold'} NaN or infinity "
        + ("before the first step." if first else "after the optimizer's step: it was too large, or its state broke."),
        "Initialise with finite numbers." if first else "Lower the learning rate, raise eps, or clip gradients.",
        {"parameters": names[:8]},
        None,
        history.step,
        consequence=not first,
    )


def _bad_targets(origin: Origin, history: History) -> Finding:
    return Finding(
        "bad-labels",
        public_name(origin.operator),
        "The targets hold NaN or infinity.",
        "Look at the data: drop or fill missing targets before training.",
        dict(origin.values),
        origin.source,
        history.step,
    )


def diverged(history: History) -> bool:
    """Whether the losses were growing without bound before."""
    recent = [v for v in history.loss.recent[-20:] if math.isfinite(v)]
    start = history.loss.start()
    return bool(recent) and math.isfinite(start) and max(map(abs, recent)) > DIVERGED * (abs(start) + 1e-12)


def _bad_data(history: History) -> Finding:
    return Finding(
        "bad-input",
        "input",
        "The model's input holds NaN or infinity.",
        "Look at the data: drop or fill missing values before training (numpy.isfinite(x).all() says whether any is).",
        {"input_shape": list(history.data.shape)},
        None,
        history.step,
    )


def explain_error(error: BaseException, scene: Scene, history: History) -> Finding | None:
    """The finding behind an exception that left the ``with`` block, if it is one of ours."""
    if not isinstance(error, IndexRangeError):
        return None
    line, operators = _line_of(error)
    loss = next((op for op in operators if op in ("cross_entropy", "nll_loss", "nll_pick")), None)
    if loss is not None or "Target" in str(error):
        return Finding(
            "bad-labels",
            loss or "cross_entropy",
            f"A label is out of range: {error}",
            "Number the classes from 0 to C - 1, and give the last layer C outputs.",
            {},
            line,
            history.step,
        )
    if "embedding" in operators:
        return Finding(
            "bad-input",
            "embedding",
            f"A token is out of the embedding's range: {error}",
            "Number the tokens from 0, and make the embedding as large as the vocabulary.",
            {},
            line,
            history.step,
        )
    return None


def _line_of(error: BaseException) -> tuple[str | None, list[str]]:
    """The innermost line of the user's code in a traceback, and the functions of the library that were entered."""
    found, entered, trace = None, [], error.__traceback__
    package = __file__.rsplit("diagnosis", 1)[0]
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(package):
            entered.append(code.co_name)
        else:
            found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found, entered
