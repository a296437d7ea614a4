"""Every program under examples/ runs, at a small size, and its numbers are right.

Each is ordinary PyTorch code: one test runs this whole file on PyTorch itself, in a process where the
name `chainrule` means `torch`.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_session_prints_exactly_this(capsys):
    gradients = load("session").main()
    assert capsys.readouterr().out == (
        "tensor([6.], grad_fn=<MulBackward0>)\n"
        "tensor([2.])\n"
        "tensor([5.])\n"
        "tensor([2.]) tensor([5.]) tensor([2.]) tensor([3.]) tensor([1.])\n"
    )
    assert gradients == [2, 5, 2, 3, 1]


def test_f_xyz():
    assert load("f_xyz").main() == {"q": 5, "f": -20, "df/dx": -4, "df/dy": -4, "df/dz": 5, "df/dq": -4}


def test_neuron():
    output, gradients = load("neuron").main()
    assert output == pytest.approx(0.5**0.5, abs=1e-12)
    assert gradients == pytest.approx({"n": 0.5, "x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0, "b": 0.5}, abs=1e-12)


def test_network_cost_stops_when_the_criterion_is_met():
    epochs, cost, outputs = load("network_cost").main(tolerance=0.01, max_epochs=2000)
    assert epochs < 2000 and cost < 0.01
    assert [round(output) for output in outputs] == [0, 1, 1, 0]


def test_recurrent_gradient_is_the_sum_over_the_steps():
    gap, loss, correct = load("recurrent").main(steps=5, updates=120)
    assert gap < 1e-4
    assert loss < 0.35 and correct > 0.85


def test_shared_weights_gradient_is_the_sum_over_both_uses():
    gap, loss, correct = load("shared_weights").main(updates=150)
    assert gap < 1e-6
    assert loss < 0.12 and correct > 0.85


def test_regression_beats_the_mean():
    loss, error, baseline = load("regression").main(epochs=100)
    assert loss < 0.55 and error < 0.7 * baseline


def test_classification():
    loss, accuracy = load("classification").main(epochs=5)
    assert loss < 1.0 and accuracy > 0.85


def test_char_rnn():
    first, last, text = load("char_rnn").main(updates=60, sample_length=40)
    assert first > 2.5 and last < 1.0
    assert text.startswith("This is the ") and len(text) == len("This is the ") + 40


def test_lstm_sine():
    first, last, error = load("lstm_sine").main(steps=3, hidden=12, count=4, length=30, max_iter=10)
    assert first > 0.3 and last < 0.05 and error < 0.5


def test_vae():
    first, last, drawn = load("vae").main(epochs=4)
    assert last < first - 4 and last < 32
    assert tuple(drawn.shape) == (4, 64) and 0 <= drawn.min().item() and drawn.max().item() <= 1


def test_gan_moves_its_points_to_the_circle():
    before, after = load("gan").main(updates=500)
    assert before > 1.5 and after < 1.0


def test_mini_gpt():
    first, last, text = load("mini_gpt").main(updates=40, tokens=40, n_embd=32)
    assert first > 3.0 and last < 2.4
    assert len(text) == 41


def test_mini_gpt_sees_only_the_past():
    gpt = load("mini_gpt")
    torch, model = gpt.torch, gpt.GPT(gpt.GPTConfig(n_embd=16))
    a = torch.randint(10, (1, 8))
    b = a.clone()
    b[0, 5:] = 11
    with torch.no_grad():
        difference = (model(a)[0] - model(b)[0]).abs().amax(dim=(0, 2)).tolist()
    assert max(difference[:5]) == 0.0 and min(difference[5:]) > 0.0


def test_reinforce_learns_to_balance():
    lengths = load("reinforce").main(episodes=80, max_steps=100)
    best = max(sum(lengths[i : i + 20]) for i in range(20, 61))
    assert best > 1.4 * sum(lengths[:20])


def test_cnn_digits():
    loss, accuracy = load("cnn_digits").main(epochs=3, channels=4)
    assert loss < 1.2 and accuracy > 0.8


def test_transformer_classifier():
    loss, accuracy = load("transformer_classifier").main(updates=120)
    assert loss < 0.45 and accuracy > 0.8


def test_autoencoder():
    first, last, accuracy = load("autoencoder").main(epochs=100)
    assert first > 0.9 and last < 0.55 and accuracy > 0.85


def test_physics_oscillator_second_derivatives():
    first, last, error = load("physics_oscillator").main(updates=400, hidden=24)
    assert last < 0.1 * first and error < 0.4


ON_PYTORCH = """
import sys, pytest, torch, torch.distributions, torch.optim.lr_scheduler
for name, module in list(sys.modules.items()):
    if name == "torch" or name.startswith("torch."):
        sys.modules["chainrule" + name[5:]] = module
torch.set_num_threads(1)
raise SystemExit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_programs_are_pytorch_programs():
    pytest.importorskip("torch")
    options = ["-q", "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", "-k", "not pytorch_programs"]
    result = subprocess.run(
        [sys.executable, "-c", ON_PYTORCH, *options, __file__], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout


def test_every_example_has_a_test():
    source = Path(__file__).read_text()
    missing = [path.stem for path in EXAMPLES.glob("*.py") if f'load("{path.stem}")' not in source]
    assert not missing
