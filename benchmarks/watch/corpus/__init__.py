"""The programs. Importing this package registers them all in ``harness.PROGRAMS``."""

from ..harness import PROGRAMS
from . import (
    flow_exploding,
    flow_initial,
    flow_vanishing,
    inputs,
    labels,
    last_faulty,
    last_sound,
    late_flow,
    late_sound,
    late_wiring,
    losses,
    numbers,
    rates,
    sound_data,
    sound_deep,
    sound_plain,
    sound_sequences,
    sound_tricks,
    units_dead,
    units_saturated,
    wiring,
    zeroing,
)

__all__ = ["PROGRAMS"]
