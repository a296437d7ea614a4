"""A loss curve drawn with characters."""

import math

__all__ = ["draw_curve"]


def draw_curve(
    train: list[float], validation: list[float], best: int, width: int, height: int, ascii_only: bool
) -> list[str]:
    """The two losses per epoch as lines of text, at most `width` wide; the best epoch (from 1) is marked below.

    The scale is logarithmic where the losses allow it and span a factor of five or more.
    """
    dot, ring, both, tick, corner, line = "*o@|+-" if ascii_only else "●○◉┤└─"
    finite = [value for value in train + validation if math.isfinite(value)]
    low, high = min(finite), max(finite)
    logarithmic = low > 0 and high / low >= 5

    def scaled(value: float) -> float:
        return math.log(value) if logarithmic else value

    label_width = max(len(f"{value:.3g}") for value in (low, high))
    columns = max(1, min(width - label_width - 3, len(train)))
    span = (scaled(high) - scaled(low)) or 1.0
    grid = [[" "] * columns for _ in range(height)]
    for series, mark in ((train, dot), (validation, ring)):
        for column in range(columns):
            # Many epochs share a column when the curve is longer than the terminal is wide: their mean is drawn.
            begin, end = column * len(series) // columns, (column + 1) * len(series) // columns
            values = [value for value in series[begin : max(end, begin + 1)] if math.isfinite(value)]
            if not values:
                continue
            row = round((scaled(high) - scaled(sum(values) / len(values))) / span * (height - 1))
            grid[row][column] = both if grid[row][column] == dot and mark == ring else mark
    lines = []
    for i, cells in enumerate(grid):
        label = f"{high:.3g}" if i == 0 else f"{low:.3g}" if i == height - 1 else ""
        lines.append(f"{label:>{label_width}} {tick}{''.join(cells)}".rstrip())
    lines.append(f"{'':>{label_width}} {corner}{line * columns}")
    if best:
        at = (best - 1) * columns // len(train)
        lines.append(f"{'':>{label_width}}  {' ' * at}^ best: epoch {best}")
    lines.append(
        f"{'':>{label_width}}  {dot} training loss  {ring} validation loss{'  (log scale)' if logarithmic else ''}"
    )
    return lines
