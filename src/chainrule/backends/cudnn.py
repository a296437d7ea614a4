"""``torch.backends.cudnn``: a module of its own, since programs say ``import torch.backends.cudnn as cudnn``."""

deterministic = benchmark = enabled = allow_tf32 = False


def is_available():
    return False


def version():
    """None: there is no cuDNN."""
