"""Layout of a grid of panels with its labels, measured once.

Matplotlib's constrained layout measures every label twice and solves a system of equations; that was a third of the
time a report took to draw. Our figures are plain grids with at most a legend above or below, which need neither.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine

_LEAST_PX = 20.0  # panels narrower than this are not moved


class GridLayout(LayoutEngine):
    """Places the panels of one grid so that ticks, labels, titles and an outside legend fit.

    Parameters
    ----------
    pad_in : float
        Room around everything, inches.
    gap_in : float
        Room between neighbouring panels with their labels, inches.
    """

    def __init__(self, pad_in: float = 0.06, gap_in: float = 0.2) -> None:
        super().__init__()
        self._adjust_compatible = False
        self._colorbar_gridspec = False
        self._pad_in, self._gap_in = pad_in, gap_in

    def execute(self, fig: Figure) -> None:
        """Measure the labels around every panel and place the panels."""
        panels = [ax for ax in fig.axes if ax.get_subplotspec() is not None]
        if not panels:
            return
        renderer = _measuring(fig)
        grid = panels[0].get_subplotspec().get_gridspec()  # type: ignore[union-attr]
        width, height = fig.bbox.width, fig.bbox.height
        pad, gap = self._pad_in * fig.dpi, self._gap_in * fig.dpi
        around = [_around(ax, renderer) for ax in panels]
        columns = [(s.colspan.start, s.colspan.stop - 1) for s in (ax.get_subplotspec() for ax in panels) if s]
        rows = [(s.rowspan.start, s.rowspan.stop - 1) for s in (ax.get_subplotspec() for ax in panels) if s]
        above, below = _legends(fig, renderer)
        across = _share(
            grid.ncols, grid.get_width_ratios(), columns, [(a[0], a[1]) for a in around], (pad, width - pad), gap
        )
        # rows are counted from above, pixels from below
        down = _share(
            grid.nrows, grid.get_height_ratios(), rows, [(a[3], a[2]) for a in around],
            (pad + above, height - pad - below), gap,
        )  # fmt: skip
        if across is None or down is None:
            return
        for ax, (first, last), (top, bottom) in zip(panels, columns, rows, strict=True):
            left, right = across[first][0], across[last][1]
            high, low = height - down[top][0], height - down[bottom][1]
            ax.set_position((left / width, low / height, (right - left) / width, (high - low) / height))
            ax.set_in_layout(True)  # `set_position` takes it out, and a notebook would cut its labels off


def _measuring(fig: Figure) -> Any:
    """Renderer for measuring text, with the figure's resolution."""
    own = getattr(fig.canvas, "get_renderer", None)
    if own is not None:
        return own()
    return RendererSVG(fig.bbox.width, fig.bbox.height, io.StringIO(), image_dpi=72)  # type: ignore[no-untyped-call]


def _around(ax: Axes, renderer: Any) -> tuple[float, float, float, float]:
    """Pixels that ticks, labels and titles take left, right, below and above a panel."""
    tight, panel = ax.get_tightbbox(renderer, for_layout_only=True), ax.bbox
    if tight is None:
        return 0.0, 0.0, 0.0, 0.0
    sides = (panel.x0 - tight.x0, tight.x1 - panel.x1, panel.y0 - tight.y0, tight.y1 - panel.y1)
    left, right, below, above = (max(float(v), 0.0) for v in sides)
    return left, right, below, above


def _legends(fig: Figure, renderer: Any) -> tuple[float, float]:
    """Pixels that the figure's legends take above and below the panels."""
    above, below = 0.0, 0.0
    for legend in fig.legends:
        box = legend.get_window_extent(renderer)
        if box.y0 + box.y1 > fig.bbox.height:
            above = max(above, fig.bbox.height - box.y0)
        else:
            below = max(below, box.y1)
    return above, below


def _share(
    n: int,
    ratios: Any,
    spans: list[tuple[int, int]],
    sides: list[tuple[float, float]],
    ends: tuple[float, float],
    gap: float,
) -> list[tuple[float, float]] | None:
    """Start and end of each of ``n`` columns (or rows) in pixels; None where nothing would be left for them."""
    before, after = np.zeros(n), np.zeros(n)
    for (first, last), (one, other) in zip(spans, sides, strict=True):
        before[first] = max(before[first], one)
        after[last] = max(after[last], other)
    room = ends[1] - ends[0] - float(before.sum() + after.sum()) - gap * (n - 1)
    if room < _LEAST_PX * n:
        return None
    sizes = room * np.asarray(ratios, np.float64) / float(np.sum(ratios))
    found, at = [], ends[0]
    for k in range(n):
        at += before[k]
        found.append((float(at), float(at + sizes[k])))
        at += sizes[k] + after[k] + gap
    return found
