"""``torch.cuda`` for programs that ask whether there is a GPU: there is none."""

from .errors import UnsupportedError


def is_available():
    """Always False: chainrule computes on the CPU."""
    return False


def device_count():
    return 0


def is_initialized():
    return False


def _nothing(*args, **kwargs):
    """What PyTorch does nothing for without a GPU, does nothing here."""


manual_seed = manual_seed_all = seed = seed_all = empty_cache = synchronize = reset_peak_memory_stats = ipc_collect = (
    _nothing
)


class NoGPUError(UnsupportedError, AttributeError):
    """Something of ``torch.cuda`` that needs a GPU; also an AttributeError, so that ``hasattr`` says no."""


def __getattr__(name):
    raise NoGPUError(
        f"torch.cuda.{name}: chainrule computes on the CPU; guard it with `if torch.cuda.is_available():`"
    )
