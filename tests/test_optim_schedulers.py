"""Learning-rate schedulers: whole sequences beside PyTorch's, saving, and the warnings."""

import math
import warnings

import pytest

import chainrule as ct

torch = pytest.importorskip("torch")


class Halve:
    """A callable object: its attributes are saved, those of a plain function are not."""

    def __init__(self, rate=0.5):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


def chain(s, o):
    return s.ChainedScheduler([s.ConstantLR(o, 0.5, 3), s.ExponentialLR(o, 0.9)], optimizer=o)


def sequence(s, o):
    members = [s.LinearLR(o, 0.1, total_iters=4), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 5)]
    return s.SequentialLR(o, members, milestones=[4, 9])


def nested(s, o):
    return s.SequentialLR(o, [chain(s, o), s.StepLR(o, 2)], milestones=[5])


SCHEDULES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e),
    "lambda list": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "lambda object": lambda s, o: s.LambdaLR(o, [Halve(), Halve(0.9)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.01 * e),
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multistep": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "linear": lambda s, o: s.LinearLR(o, 0.2, 0.7, 6),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.8),
    "polynomial": lambda s, o: s.PolynomialLR(o, 7, 2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 5, 0.01),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "restarts equal": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4),
    "triangular": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 4, 2),
    "triangular2": lambda s, o: s.CyclicLR(o, [0.1, 0.2], [1.0, 2.0], 3, mode="triangular2"),
    "exp_range": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "cyclic function": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 3, scale_fn=lambda x: 0.5**x, scale_mode="iterations"),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=20),
    "one cycle linear": lambda s, o: s.OneCycleLR(o, [0.5, 1.0], epochs=4, steps_per_epoch=5, anneal_strategy="linear"),
    "one cycle three": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=20, three_phase=True, cycle_momentum=False),
    "chained": chain,
    "sequential": sequence,
    "nested": nested,
    "swa": None,
}


def swa(library, o):
    return library.optim.swa_utils.SWALR(o, swa_lr=0.05, anneal_epochs=4)


def build(library, name, optimizer="SGD"):
    a, b = library.zeros(1, requires_grad=True), library.zeros(1, requires_grad=True)
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    o = getattr(library.optim, optimizer)([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=1.0, **options)
    with warnings.catch_warnings():
        # A chain inside a sequence is rewound by stepping it, which warns in both libraries.
        if name == "nested":
            warnings.filterwarnings("ignore", message="Detected call of")
        return o, swa(library, o) if name == "swa" else SCHEDULES[name](library.optim.lr_scheduler, o)


def record(o):
    return [(g["lr"], g.get("momentum"), g.get("betas")) for g in o.param_groups]


def flatten(rows):
    for row in rows:
        for lr, momentum, betas in row:
            yield from (lr, momentum or 0.0, *(betas or ()))


def follow(o, scheduler, steps):
    rows = []
    for _ in range(steps):
        o.step()
        scheduler.step()
        rows.append(record(o))
        assert scheduler.get_last_lr() == [g["lr"] for g in o.param_groups]
    return rows


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_sequence_matches_pytorch(name, optimizer):
    ours, theirs = build(ct, name, optimizer), build(torch, name, optimizer)
    rows, peers = [record(ours[0])], [record(theirs[0])]
    rows += follow(*ours, 19)
    peers += follow(*theirs, 19)
    for a, b in zip(flatten(rows), flatten(peers), strict=True):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-15)
    mine, other = ours[1].state_dict(), theirs[1].state_dict()
    assert mine.keys() == other.keys()


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_dict_continues(name):
    o, scheduler = build(ct, name)
    follow(o, scheduler, 6)
    again, other = build(ct, name)
    other.load_state_dict(scheduler.state_dict())
    again.load_state_dict(o.state_dict())
    again.step()
    assert follow(again, other, 8) == follow(o, scheduler, 8)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_matches_pytorch(mode, threshold_mode):
    values = [1.0, 0.9, 0.9, 0.95, 0.9, 0.9, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    results = []
    for library in (ct, torch):
        p, q = library.zeros(1, requires_grad=True), library.zeros(1, requires_grad=True)
        o = library.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.01}], lr=1.0)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(
            o, mode, 0.3, patience=1, threshold=0.01, threshold_mode=threshold_mode, cooldown=1, min_lr=[0.05, 0.0]
        )
        rows = []
        for v in values:
            scheduler.step(library.tensor(v))
            rows.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.in_cooldown))
        results.append((rows, {k: v for k, v in scheduler.state_dict().items() if k != "optimizer"}))
    assert results[0] == results[1]
    assert results[0][0][-1][0][0] == pytest.approx(0.05)


def test_epoch_argument_uses_the_closed_form():
    for name in ("step", "multistep", "exponential", "cosine", "polynomial", "linear", "constant"):
        rows = []
        for library in (ct, torch):
            o, scheduler = build(library, name)
            o.step()
            with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
                scheduler.step(4)
            rows.append([g["lr"] for g in o.param_groups])
        assert rows[0] == pytest.approx(rows[1], rel=1e-12)
    for library in (ct, torch):
        o, scheduler = build(library, "restarts")
        scheduler.step(7.5)
        rows.append(scheduler.get_last_lr())
    assert rows[-1] == pytest.approx(rows[-2], rel=1e-12)


def test_tensor_lr_keeps_its_identity():
    lr = ct.tensor(1.0)
    o = ct.optim.SGD([ct.zeros(1, requires_grad=True)], lr=lr)
    scheduler = ct.optim.lr_scheduler.StepLR(o, 1, 0.5)
    o.step()
    scheduler.step()
    assert o.param_groups[0]["lr"] is lr
    assert lr.item() == 0.5
    assert scheduler.base_lrs[0].item() == 1.0


def test_warnings():
    o, scheduler = build(ct, "step")
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    o, scheduler = build(ct, "step")
    o.step = lambda closure=None: None
    with pytest.warns(UserWarning, match=r"Seems like `optimizer.step\(\)` has been overridden"):
        scheduler.step()


def test_errors():
    o = ct.optim.SGD([ct.zeros(1, requires_grad=True)], lr=1.0)
    other = ct.optim.SGD([ct.zeros(1, requires_grad=True)], lr=1.0)
    s = ct.optim.lr_scheduler
    fresh = ct.optim.Adagrad([ct.zeros(1, requires_grad=True)])
    plateau = s.ReduceLROnPlateau(o)
    cases = [
        (TypeError, "int is not an Optimizer", lambda: s.StepLR(3, 1)),
        (KeyError, "'initial_lr' is not specified", lambda: s.StepLR(fresh, 1, last_epoch=3)),
        (ValueError, "Expected 1 lr_lambdas, but got 2", lambda: s.LambdaLR(o, [abs, abs])),
        (TypeError, "lr_lambda should be a function, but got float", lambda: s.MultiplicativeLR(o, 0.5)),
        (ValueError, "Constant multiplicative factor", lambda: s.ConstantLR(o, 2)),
        (ValueError, "Starting multiplicative factor", lambda: s.LinearLR(o, 0)),
        (ValueError, "Ending multiplicative factor", lambda: s.LinearLR(o, 0.5, 2)),
        (ValueError, "Expected positive integer T_0", lambda: s.CosineAnnealingWarmRestarts(o, 0)),
        (ValueError, "Expected integer T_mult", lambda: s.CosineAnnealingWarmRestarts(o, 1, 0)),
        (ValueError, "mode is invalid", lambda: s.CyclicLR(o, 0.1, 1, mode="square")),
        (ValueError, "must support momentum or beta1", lambda: s.CyclicLR(fresh, 0.1, 1)),
        (ValueError, "max_lr must have the same length", lambda: s.CyclicLR(o, 0.1, [1, 2])),
        (ValueError, "You must define either total_steps", lambda: s.OneCycleLR(o, 1)),
        (ValueError, "Expected positive integer total_steps", lambda: s.OneCycleLR(o, 1, 0)),
        (ValueError, "Expected float between 0 and 1 pct_start", lambda: s.OneCycleLR(o, 1, 5, pct_start=2)),
        (ValueError, "anneal_strategy must be one of", lambda: s.OneCycleLR(o, 1, 5, anneal_strategy="x")),
        (ValueError, "Factor should be < 1.0", lambda: s.ReduceLROnPlateau(o, factor=1)),
        (ValueError, "mode best is unknown", lambda: s.ReduceLROnPlateau(o, "best")),
        (ValueError, "expected 1 min_lrs, got 2", lambda: s.ReduceLROnPlateau(o, min_lr=[1, 2])),
        (ValueError, "expects at least one scheduler", lambda: s.SequentialLR(o, [], [])),
        (ValueError, "one more than the number of milestone", lambda: s.SequentialLR(o, [s.StepLR(o, 1)], [1])),
        (ValueError, "does not support `ReduceLROnPlateau`", lambda: s.ChainedScheduler([plateau])),
        (ValueError, "same optimizer", lambda: s.ChainedScheduler([s.StepLR(o, 1), s.StepLR(other, 1)])),
        (ValueError, "anneal_epochs must be", lambda: ct.optim.swa_utils.SWALR(o, 0.1, anneal_epochs=-1)),
    ]
    for kind, text, call in cases:
        with pytest.raises(kind, match=text):
            call()
    o = ct.optim.SGD([ct.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = s.OneCycleLR(o, 1.0, total_steps=2, cycle_momentum=False)
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        follow(o, scheduler, 4)
    assert math.isfinite(o.param_groups[0]["lr"])


def test_averaged_model():
    results = []
    for library in (ct, torch):
        model = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.BatchNorm1d(3))
        utils = library.optim.swa_utils
        means = [
            utils.AveragedModel(model),
            utils.AveragedModel(model, multi_avg_fn=utils.get_ema_multi_avg_fn(0.5)),
            utils.AveragedModel(model, avg_fn=utils.get_ema_avg_fn(0.5), use_buffers=True),
        ]
        for k in range(1, 4):
            with library.no_grad():
                for i, p in enumerate([*model.parameters(), *model.buffers()]):
                    p.fill_(k * (i + 1))
            for mean in means:
                mean.update_parameters(model)
        rows = [[v.numpy().tolist() for v in mean.state_dict().values()] for mean in means]
        loader = [library.tensor([[1.0, 2.0], [3.0, 5.0]]), [library.tensor([[0.0, 1.0], [2.0, 2.0]])]]
        utils.update_bn(loader, means[0])
        rows.append(means[0].module[1].running_mean.numpy().tolist())
        rows.append([list(mean.state_dict()) for mean in means])
        results.append(rows)
    assert results[0] == results[1]
