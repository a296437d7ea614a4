"""Tables for the tests of the command."""

import random
from pathlib import Path


def write_houses(path: Path, rows: int = 200) -> Path:
    """A regression: price from area, age and town; areas are missing now and then, and one column is constant."""
    rng = random.Random(1)
    lines = ["area,age,town,planet,price"]
    for _ in range(rows):
        area, age, town = rng.uniform(40, 200), rng.randint(0, 90), rng.choice(["Bern", "Genf", "Chur"])
        price = 3000 * area - 1500 * age + {"Bern": 50_000, "Genf": 150_000, "Chur": 0}[town]
        shown = "" if rng.random() < 0.05 else f"{area:.1f}"
        lines.append(f"{shown},{age},{town},earth,{price:.0f}.5")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_flowers(path: Path, rows: int = 150) -> Path:
    """A classification: three kinds told apart by two lengths; the odd cell is missing."""
    rng = random.Random(2)
    lines = ["length,width,kind"]
    for i in range(rows):
        kind = i % 3
        length = "NA" if i % 31 == 30 else f"{rng.gauss(2 * kind, 0.4):.3f}"
        lines.append(f"{length},{rng.gauss(-kind, 0.4):.3f},{('iris', 'rose', 'tulip')[kind]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
