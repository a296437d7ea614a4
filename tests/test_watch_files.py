"""What chainrule.watch writes: the recorded run, the text, the page, event files; and the commands that read a run."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chainrule as torch
from chainrule.diagnosis import Finding, Report, Run, recorder
from chainrule.diagnosis.charts import color, curves, heat_map, number, ticks
from chainrule.diagnosis.tensorboard import masked_crc
from chainrule.errors import FileFormatError

F, nn = torch.nn.functional, torch.nn
SOURCE = str(Path(torch.__file__).parents[1])

TRAINING = """
import sys, time
import chainrule as torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))
with torch.watch(model, optimizer, store=sys.argv[1]) as w:
    while True:
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
"""


def run(steps=60, zero=True, every=1, **how):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 20, 0.5)
    with torch.watch(model, optimizer, every=every, **how) as w:
        for _ in range(steps):
            x = torch.randn(32, 4)
            if zero:
                optimizer.zero_grad()
            F.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()
            schedule.step()
    return w


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "a run.db"
    return run(zero=False, store=str(path)), path


# ---- the file


def test_a_recorded_run(recorded):
    w, path = recorded
    with Run(path) as r:
        assert (r.steps, r.ended, r.meta["every"]) == (60, True, 1)
        assert r.meta["parameters"][0] == ["0.weight", [8, 4]]
        assert [s for s, _ in r.loss] == list(range(60))
        assert r.rate == [(0, 0.1), (20, 0.05), (40, 0.025)]
        grads = r.series("grad")
        assert list(grads) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert all(v > 0 for _, v in grads["2.weight"]) and len(grads["2.weight"]) >= 16
        assert set(r.series("slope")) == {"1 (relu)"} and set(r.series("signal")) == {"0", "2"}
        assert [f.code for f in r.findings] == [f.code for f in w.findings]
        assert r.findings[0].evidence == w.findings[0].evidence
        assert r.loss_after(57) == r.loss[58:]


def test_saving_afterwards(tmp_path):
    w = run()
    w.save(str(tmp_path / "later.db"))
    w.save(str(tmp_path / "later.db"))  # an older run is replaced
    with Run(tmp_path / "later.db") as r:
        assert r.steps == 60 and len(r.loss) == 60 and r.ended and "update" in {k for k in ("update",) if r.series(k)}
    with pytest.raises(OSError, match="cannot be written"):
        w.save(str(tmp_path / "no such folder" / "x.db"))


def test_nothing_but_a_run_is_overwritten(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("two years of work")
    with pytest.warns(RuntimeWarning, match="has stopped, the training goes on: .* is no recorded run"):
        run(3, store=str(path))
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine(x)")
    db.close()
    with pytest.warns(RuntimeWarning, match="is no recorded run; give another file name"):
        run(3, store=str(other))
    assert path.read_text() == "two years of work"
    with pytest.raises(FileFormatError, match="is no recorded run"):
        Run(path)
    with pytest.raises(FileFormatError, match="is no recorded run"):
        Run(other)
    with pytest.raises(FileNotFoundError):
        Run(tmp_path / "nothing.db")


def test_a_folder_that_is_not_there_stops_recording_with_one_warning(tmp_path):
    with pytest.warns(RuntimeWarning, match="recording to .* has stopped, the training goes on") as said:
        w = run(store=str(tmp_path / "gone" / "run.db"))
    assert len(said) == 1 and w.history.step == 60


def test_a_full_disk_stops_recording_with_one_warning(tmp_path, monkeypatch):
    """SQLite is told that the file may not grow: the error is that of a full disk."""
    monkeypatch.setattr(recorder, "WAIT", 0.0)
    plain = recorder.Recorder._open

    def small(self, every):
        plain(self, every)
        pages = self.db.execute("PRAGMA page_count").fetchone()[0]
        self.db.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(recorder.Recorder, "_open", small)
    with pytest.warns(RuntimeWarning, match="has stopped, the training goes on: database or disk is full") as said:
        w = run(200, store=str(tmp_path / "run.db"))
    assert len(said) == 1 and w.history.step == 200


def test_the_pace_halves_so_that_the_file_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "LOSSES", 300)
    monkeypatch.setattr(recorder, "STATS", 2000)
    monkeypatch.setattr(recorder, "WAIT", 0.0)
    run(700, store=str(tmp_path / "run.db"))
    with Run(tmp_path / "run.db") as r:
        steps = [s for s, _ in r.loss]
        rows = r.db.execute("SELECT count(*) FROM stat").fetchone()[0]
    assert len(steps) <= 301 and steps[:100] == list(range(100)) and 600 < steps[-1] < 700
    assert rows <= 2050


def test_a_killed_training_leaves_a_readable_file(tmp_path):
    path = tmp_path / "run.db"
    child = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(path)],
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"},
    )
    try:
        seen, until = 0, time.monotonic() + 60
        while seen < 50 and time.monotonic() < until:  # read while it is written
            time.sleep(0.1)
            if path.exists():
                try:
                    with Run(path) as r:
                        seen = len(r.loss)
                except FileFormatError:  # its tables are about to be made
                    pass
        assert seen >= 50
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Run(path) as r:
        assert r.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert len(r.loss) >= seen and not r.ended
        assert [f.code for f in r.findings][:1] == ["missing-zero-grad"]


# ---- the text and the page


def test_the_text(recorded):
    w, path = recorded
    text = str(w.report())
    assert text.startswith("60 steps, loss ")
    assert "missing-zero-grad  [confirmed, error, since step 1]" in text
    assert f"    {__file__}:" in text and "    -> Call optimizer.zero_grad()" in text
    assert str(Report.of_file(path)).splitlines()[2:] == text.splitlines()[2:]
    assert str(run(20).report()).endswith("No findings.")


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path):
    finding = Finding(
        "dead-units", "<b>&", "60 < 64 & so on", "Do\"this'", {"<key>": "<script>alert(1)</script>"}, "a<b.py:3"
    )
    loss = [(k, 1 / (k + 1)) for k in range(5000)]
    series = {"grad": {f"<{k}>": [(s, 10.0**-k) for s in range(0, 5000, 50)] for k in range(6)}}
    report = Report([finding], 5000, loss, [(0, 0.1), (2000, 0.01)], series, "<title>")
    report.save(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert "<script" not in text and "<b>&<" not in text and "&lt;b&gt;&amp;" in text and "&lt;script&gt;" in text
    assert "http" not in text and "src=" not in text and "@import" not in text and "url(" not in text
    assert len(text) < 400_000
    report.save(tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text().startswith("5000 steps, loss 1 to 0.0002.")
    assert report._repr_html_().startswith("<iframe srcdoc=")


def test_charts_of_nothing_and_of_extremes():
    assert "Nothing recorded" in curves({}) and "Nothing recorded" in heat_map({"a": []})
    assert "Nothing recorded" in curves({"a": [(0, -1.0)]}, log=True)
    assert "<circle" in curves({"a": [(3, 2.0)]})
    for values in ([1e-30, 1e30], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]):
        text = curves({"a": list(enumerate(values))}) + heat_map({"a": list(enumerate(values))})
        assert "nan" not in text.lower().replace("nano", "") and "inf" not in text.replace("infin", "")
    assert color(0) == "#440154" and color(1) == "#fde725" and color(2) == color(1)
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10] and number(1e-7) == "1.0e-7" and number(0.25) == "0.25"


def test_the_page_in_chromium(recorded, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    browser = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.path.exists(p)), None)
    if browser is None:
        pytest.skip("no Chromium here")
    w, path = recorded
    Report.of_file(path).save(tmp_path / "run.html")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1000, "height": 800})
        said, asked = [], []
        page.on("console", lambda m: said.append(m.text))
        page.on("request", lambda r: asked.append(r.url))
        page.goto((tmp_path / "run.html").as_uri())
        assert said == [] and len(asked) == 1  # nothing is fetched
        assert page.locator("h1").inner_text() == "a run.db"
        assert page.locator(".finding h3").first.inner_text().startswith("missing-zero-grad")
        assert [page.locator("h2").nth(k).inner_text() for k in range(3)] == [
            "Findings", "Loss", "Gradient norm by parameter and step",
        ]  # fmt: skip
        rows = page.locator("svg").nth(1).locator("text.row")
        assert [rows.nth(k).inner_html() for k in range(rows.count())] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        boxes = [page.locator("svg").nth(k).bounding_box() for k in range(page.locator("svg").count())]
        assert all(b["width"] > 600 and b["height"] > 60 and b["x"] + b["width"] <= 1000 for b in boxes)
        page.set_viewport_size({"width": 420, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        chromium.close()


# ---- TensorBoard


def test_checksums():
    """RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 8a9136aa."""
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_was_written(recorded, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    w, _ = recorded
    path = w.to_tensorboard(str(tmp_path / "events"))
    assert os.path.basename(path).startswith("events.out.tfevents.")
    events = accumulator.EventAccumulator(str(tmp_path / "events"), {"scalars": 0, "tensors": 0}).Reload()
    tags = events.Tags()
    assert {"loss", "learning rate", "gradient norm/0.weight", "update ratio/2.weight"} <= set(tags["scalars"])
    loss = events.Scalars("loss")
    assert len(loss) == 60 and loss[7].step == 7
    assert loss[7].value == pytest.approx(w.history.losses()[7][1], rel=1e-6)
    (text,) = events.Tensors("finding/missing-zero-grad")
    assert b"zero_grad" in text.tensor_proto.string_val[0]


# ---- the commands


def command(capsys, *arguments):
    main = pytest.importorskip("chainrule.cli.app", reason="the command needs typer").main
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_commands(recorded, tmp_path, capsys):
    pytest.importorskip("typer")
    _, path = recorded
    code, out, err = command(capsys, "report", path, "--html", tmp_path / "page.html")
    assert code == 0 and not err and "missing-zero-grad" in out and f"The page is in {tmp_path / 'page.html'}" in out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, out, err = command(capsys, "watch", path)
    assert code == 0 and "step       59   loss " in out and out.endswith("60 steps, 1 findings; the run has ended\n")
    for arguments, words in (
        (("report", tmp_path / "none.db"), "is not there"),
        (("report", __file__), "is no recorded run"),
        (("report", path, "--html", "x.html", "--no-html"), "--html and --no-html: choose one"),
        (("watch", tmp_path / "none.db", "--once"), "is not there"),
    ):
        code, out, err = command(capsys, *arguments)
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1
