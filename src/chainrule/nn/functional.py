"""``torch.nn.functional``: the functions of networks."""

from ..tensors import face

face.fill(globals(), "nn.functional")
del face
