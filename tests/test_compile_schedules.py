"""Learning-rate schedules whose steps stand inside a compiled function."""

import pytest

import chainrule as torch
from chainrule import nn
from chainrule.errors import CaptureError
from chainrule.optim import lr_scheduler as schedules

pytest.importorskip("llvmlite")

KINDS = {
    "step": lambda o: schedules.StepLR(o, 2, 0.5),
    "one cycle": lambda o: schedules.OneCycleLR(o, 0.5, total_steps=10),
    "warm restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3),
    "sequence": lambda o: schedules.SequentialLR(
        o, [schedules.ConstantLR(o, 0.1, 2), schedules.ExponentialLR(o, 0.9)], [2]
    ),
    "chain": lambda o: schedules.ChainedScheduler([schedules.ConstantLR(o, 0.1, 2), schedules.ExponentialLR(o, 0.9)]),
    "lambda": lambda o: schedules.LambdaLR(o, lambda epoch: 0.95**epoch),
}


def setup(kind, optimizer=torch.optim.SGD, **options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    opt = optimizer(model.parameters(), lr=0.1, **options)
    schedule = KINDS[kind](opt)

    def step(x):
        opt.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        opt.step()
        schedule.step()
        return loss

    return step, opt, schedule


def history(step, opt, schedule, n=7):
    x = torch.ones(4, 3)
    losses, rates = [], []
    for _ in range(n):
        losses.append(step(x).item())
        rates.append((opt.param_groups[0]["lr"], schedule.get_last_lr()))
    return losses, rates


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_schedule_in_the_step(kind, optimizer):
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    losses, rates = history(*setup(kind, optimizer, **options))
    step, opt, schedule = setup(kind, optimizer, **options)
    step = torch.compile(step)
    mine, own = history(step, opt, schedule)
    assert own == rates and mine == pytest.approx(losses, rel=1e-4)
    assert len(step.compilations) == 1


def test_a_failed_step_leaves_the_schedule_where_it_was():
    table = nn.Embedding(5, 2)
    opt = torch.optim.SGD(table.parameters(), lr=0.1)
    schedule = schedules.StepLR(opt, 1, 0.5)

    @torch.compile
    def step(i):
        opt.zero_grad()
        table(i).sum().backward()
        opt.step()
        schedule.step()

    step(torch.tensor([1, 2]))
    with pytest.raises(IndexError):
        step(torch.tensor([1, 7]))
    assert schedule.last_epoch == 1 and opt.param_groups[0]["lr"] == 0.05


def test_what_a_schedule_can_not_do_in_a_step():
    step, opt, schedule = setup("step")
    twice = torch.compile(lambda x: (step(x), step(x)))
    with pytest.raises(CaptureError, match=r"SGD\.step\(\) at .* comes after the step of its learning-rate schedule"):
        twice(torch.ones(4, 3))
    rate = torch.compile(lambda x: x * schedule.get_last_lr()[0])
    with pytest.raises(CaptureError, match=r"StepLR\.get_last_lr\(\) at .*read the rate after the call"):
        rate(torch.ones(2))
    made = torch.compile(lambda x: KINDS["step"](opt) and x)
    with pytest.raises(CaptureError, match="making a learning-rate schedule at .*make it before the call"):
        made(torch.ones(2))
    plateau = schedules.ReduceLROnPlateau(opt)
    metric = torch.compile(lambda x: plateau.step(x.sum()))
    with pytest.raises(CaptureError, match=r"ReduceLROnPlateau\.step\(\) at .* after the call"):
        metric(torch.ones(2))
    assert opt.param_groups[0]["lr"] == 0.1 and schedule.last_epoch == 0

    fresh = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    for kind in ("step", "one cycle"):
        with pytest.raises(CaptureError):
            torch.compile(lambda x, kind=kind: KINDS[kind](fresh) and x)(torch.ones(2))
    assert "initial_lr" not in fresh.param_groups[0]
