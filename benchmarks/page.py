"""How soon the page of a large graph is drawn, how long a move of the picture takes, and how large the file is.

`python benchmarks/page.py` (needs playwright and Chromium, see tests/test_page.py). Best of three, headless, no GPU.
drawn: from opening the file until the first drawing is complete. busy: processor time of the page's thread for that,
which other programs do not disturb. frame: painting anew after a move, all in sight.
The aim: 10,000 nodes drawn within 1 s, 100,000 nodes collapsed within 3 s, the file without data below 300 kB.
`--svg` compares with the same 10,000 nodes as one SVG document of the library, which is why the page paints a canvas.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

import chainrule as cr
from chainrule.graphs.page import template

REPEATS = 3


def loop(x, w, steps):
    for _ in range(steps):
        x = (x * w).tanh() + 0.01
    return x


def tangle(x, y, steps):
    """Every step reads two recent values; nothing repeats."""
    r, values = random.Random(0), [x, y]
    for _ in range(steps):
        a, b = values[-r.randint(1, min(12, len(values)))], values[-r.randint(1, min(12, len(values)))]
        what = r.randrange(3)
        values.append(a + b if what == 0 else a * b if what == 1 else (a - b).tanh())
    return cr.stack(values[-12:]).sum()


def transformer(layers):
    layer = cr.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    model = cr.nn.TransformerEncoder(layer, layers)
    return cr.graph(lambda x: model(x).square().mean(), cr.randn(2, 5, 16))


def cases():
    yield "10^4, a loop, collapsed", cr.graph(loop, 0.5, 0.9, steps=2500), 60
    g = cr.graph(tangle, 0.5, 0.9, steps=9300)
    yield "10^4, no structure, collapsed", g, 60
    yield "10^4, no structure, every box", g, None
    yield "transformer, 100 layers, collapsed", transformer(100), 60
    yield "10^5, a loop, collapsed", cr.graph(loop, 0.5, 0.9, steps=25_000), 60
    yield "10^5, no structure, collapsed", cr.graph(tangle, 0.5, 0.9, steps=93_000), 60


def opened(browser, address, watch=None):
    page = browser.new_page(viewport={"width": 1400, "height": 860})
    if watch is not None:
        watch.append(page.context.new_cdp_session(page))
        watch[0].send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    while not page.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
        time.sleep(0.02)
    return page


def measure(browser, file):
    drawn, frames, busy, boxes = [], [], [], 0
    for _ in range(REPEATS):
        watch = []
        page = opened(browser, file.as_uri(), watch)
        metrics = {m["name"]: m["value"] for m in watch[0].send("Performance.getMetrics")["metrics"]}
        busy.append(1e3 * metrics["TaskDuration"])
        drawn.append(page.evaluate("performance.getEntriesByName('chainrule-drawn')[0].startTime"))
        frames.append(
            page.evaluate("""(() => { const c = chainrule.camera; c.fit(); const t = performance.now();
                c.paint(); c.canvas.getContext('2d').getImageData(0, 0, 1, 1); return performance.now() - t })()""")
        )
        boxes = page.evaluate("chainrule.app.scene.boxes.length")
        page.close()
    return min(drawn), min(busy), min(frames), boxes


def svg(browser, folder):
    """The same unstructured graph as an SVG document in the browser: time until shown, and for one move."""
    file = folder / "graph.svg"
    file.write_text(cr.graph(tangle, 0.5, 0.9, steps=9300).svg(most=None), encoding="utf-8")
    holder = folder / "svg.html"
    holder.write_text("<!DOCTYPE html><body style='margin:0'>" + file.read_text(encoding="utf-8"), encoding="utf-8")
    page = opened(browser, holder.as_uri())
    shown = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.evaluate("""(() => { const s = document.querySelector('svg'); s.setAttribute('width', 1400);
        s.setAttribute('height', 860); })()""")
    page.screenshot()
    moves = []
    for k in range(REPEATS):
        page.evaluate(f"document.querySelector('svg').style.transform = 'translate({k}px, {k}px) scale(1.0{k})'")
        start = time.perf_counter()
        page.screenshot()
        moves.append((time.perf_counter() - start) * 1e3)
    return shown, min(moves)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--svg", action="store_true")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    empty = sum(len(part.encode()) for part in template())
    print(f"the file without data: {empty / 1e3:.1f} kB")
    head = ("nodes", "edges", "boxes", "file MB", "html() s", "drawn ms", "busy ms", "frame ms")
    print(f"{'graph':36} {' '.join(f'{h:>8}' for h in head)}")
    with sync_playwright() as p, tempfile.TemporaryDirectory() as folder:
        browser = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        file = Path(folder) / "graph.html"
        for name, graph, most in cases():
            start = time.process_time()
            text = graph.html(most=most)
            took = time.process_time() - start
            file.write_text(text, encoding="utf-8")
            drawn, busy, frame, boxes = measure(browser, file)
            print(
                f"{name:36} {len(graph.nodes):8} {len(graph.edges):8} {boxes:8} {len(text) / 1e6:8.2f} {took:8.2f} "
                f"{drawn:8.0f} {busy:8.0f} {frame:8.1f}",
                flush=True,
            )
        if options.svg:
            shown, move = svg(browser, Path(folder))
            print(f"as an SVG document: shown after {shown:.0f} ms, one move {move:.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
