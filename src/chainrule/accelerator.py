"""``torch.accelerator`` for programs that ask whether there is one: there is none."""


def is_available():
    """Always False: chainrule computes on the CPU."""
    return False


def device_count():
    return 0


def current_accelerator(check_available=False):
    """Always None, as in PyTorch without an accelerator."""
