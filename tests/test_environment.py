"""The lines that stand at the top of PyTorch programs."""

import pytest

import chainrule as torch


def test_device_selection_of_tutorials():
    device = torch.device(
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    x = torch.ones(2, device=device).to(device)
    model = torch.nn.Linear(2, 1).to(device)
    assert model(x).device == device
    assert device.type == "cpu"
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    torch.cuda.manual_seed_all(0)
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    with pytest.raises(NotImplementedError, match=r"guard it with `if torch.cuda.is_available\(\):`"):
        torch.cuda.current_device()


def test_submodules_are_found_as_attributes_and_as_modules():
    import chainrule.backends.cudnn as cudnn
    import chainrule.nn.functional as F
    import chainrule.optim as optim
    from chainrule.autograd import Function, Variable  # noqa: F401
    from chainrule.distributions import Categorical  # noqa: F401
    from chainrule.nn.parameter import Parameter  # noqa: F401
    from chainrule.nn.utils import clip_grad_norm_  # noqa: F401
    from chainrule.nn.utils.rnn import pad_sequence  # noqa: F401
    from chainrule.optim.lr_scheduler import StepLR  # noqa: F401
    from chainrule.utils.checkpoint import checkpoint
    from chainrule.utils.data import DataLoader, Dataset  # noqa: F401

    assert torch.backends.cudnn is cudnn
    assert torch.nn.functional is F
    assert torch.optim is optim
    assert torch.utils.data.DataLoader is DataLoader
    assert torch.utils.checkpoint.checkpoint is checkpoint
    assert torch.nn.init.xavier_uniform_
    assert torch.linalg.norm and torch.special.expit and torch.func.grad and torch.random.fork_rng


def test_submodules_as_attributes_in_a_fresh_process():
    import subprocess
    import sys

    code = (
        "import chainrule as torch; torch.utils.data.DataLoader; torch.nn.utils.rnn.pad_sequence; "
        "torch.optim.lr_scheduler.StepLR; "
        "torch.utils.checkpoint.checkpoint; torch.distributions.Normal; torch.nn.init.zeros_; torch.func.vmap; "
        "torch.vmap; torch.save; torch.load"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_names_of_the_registry_are_there():
    from chainrule.primitive import functions

    for entry in functions:
        for name in (entry.name, *entry.aliases):
            for space in entry.namespaces:
                owner = torch
                for part in () if space == "torch" else space.split("."):
                    owner = getattr(owner, part)
                assert callable(getattr(owner, name)), (space, name)
            if entry.method:
                assert callable(getattr(torch.Tensor, name)), name
            if entry.inplace:
                assert callable(getattr(torch.Tensor, name + "_")), name


def test_printing_a_program_s_state():
    assert repr(torch.Size([2, 3])) == "torch.Size([2, 3])"
    assert str(torch.float32) == "torch.float32"
    assert repr(torch.device("cpu")) == "device(type='cpu')"
    assert torch.ones(2).type() == "torch.FloatTensor"
    assert torch.__version__


def test_data_parallel_calls_the_module_itself():
    import chainrule.nn.parallel

    net = torch.nn.Linear(2, 1)
    wrapped = chainrule.nn.parallel.DataParallel(net, list(range(2)))
    assert torch.equal(wrapped(torch.ones(3, 2)), net(torch.ones(3, 2)))
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]


@pytest.mark.parametrize(
    "name, text", [("complex64", "two tensors"), ("fft", "complex"), ("sparse", "dense"), ("jit", "itself")]
)
def test_names_that_are_missing_on_purpose_say_so(name, text):
    assert not hasattr(torch, name)
    with pytest.raises(NotImplementedError, match=rf"torch.{name}: .*{text}"):
        getattr(torch, name)


def test_errors_of_linear_algebra_are_caught_by_pytorch_s_name():
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.inv(torch.zeros(2, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.eye(-1),
        lambda: torch.zeros(-1),
        lambda: torch.arange(0, 3, -1),
        lambda: torch.randint(5, 3, (2,)),
        lambda: torch.multinomial(torch.zeros(3), 1),
        lambda: torch.normal(0.0, -1.0, (2,)),
    ],
)
def test_sizes_and_ranges_out_of_bounds_raise_what_pytorch_raises(call):
    with pytest.raises(RuntimeError, match=r"negative|greater|inconsistent|less than|sum of probabilities|std >= 0"):
        call()


def test_numpy_functions_give_tensors():
    import numpy as np

    result = np.exp(torch.zeros(2))
    assert isinstance(result, torch.Tensor) and result.tolist() == [1.0, 1.0]


def test_old_tensor_types():
    x = torch.ones(2)
    assert x.type(torch.LongTensor).dtype is torch.int64
    assert isinstance(x, torch.FloatTensor) and not isinstance(x, torch.LongTensor)
    assert torch.ShortTensor([1, 2]).dtype is torch.int16 and torch.FloatTensor(2, 3).shape == (2, 3)
    assert repr(torch.FloatTensor) == "<class 'torch.FloatTensor'>"


def test_the_gradient_of_a_computed_tensor_is_asked_for():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    with pytest.warns(UserWarning, match=r"not a leaf Tensor.*retain_grad\(\)") as caught:
        assert y.grad is None
    assert caught[0].filename == __file__
    y.retain_grad()
    assert y.grad is None and x.grad is None and y.detach().grad is None  # no warning
