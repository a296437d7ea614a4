"""``torch.cuda`` for programs that ask whether there is a GPU: there is none."""

from .errors import MissingError


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


def __getattr__(name):
    raise MissingError(
        f"torch.cuda.{name}: chainrule computes on the CPU; guard it with `if torch.cuda.is_available():`"
    )
