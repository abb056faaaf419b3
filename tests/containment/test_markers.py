"""A stain belongs to the cell it fills."""

from __future__ import annotations

import numpy as np
import pytest

from cicimage.containment.markers import measure_markers
from cicimage.masks import Mask, Masks
from cicimage.methods import Objects

# g guest, h host around it, n host nucleus, N nucleus and guest in one place; digits are further guests
SCENE = """
................
.hhhhhhhhhhhhhh.
.hhhhhhhhhhhhhh.
.hhgggghhhhhhhh.
.hggggggnnnhhhh.
.hggggggnnnnhhh.
.hggggggnnnnhhh.
.hhgggghnnnhhhh.
.hhhhhhhhhhhhhh.
................
"""


def _scene(stained: str) -> tuple[np.ndarray, dict[str, Objects]]:
    grid = np.array([list(r) for r in SCENE.strip().splitlines()]).repeat(3, 0).repeat(3, 1)
    rng = np.random.default_rng(0)
    image = rng.normal(100, 2, grid.shape) + 80.0 * np.isin(grid, list(stained))
    nan = np.full(1, np.nan)
    return image[None].astype(np.float32), {
        "host": Objects(Masks.from_labels((grid != ".").astype(int)), nan, nan),
        "guest": Objects(Masks.from_labels((grid == "g").astype(int)), nan, nan),
    }


@pytest.mark.parametrize(
    ("stained", "guest_dead", "host_dead"),
    [("", False, False), ("g", True, False), ("n", False, True), ("ghn", False, True)],
)
def test_stain_goes_to_the_cell_it_fills(stained: str, guest_dead: bool, host_dead: bool) -> None:
    image, populations = _scene(stained)
    found = measure_markers(image, populations, noise_sd=2.0)
    (guest_signal,), (guest_fill,) = found["guest"]
    (host_signal,), _ = found["host"]
    assert (guest_signal > 5 and guest_fill > 0.5) == guest_dead
    assert (host_signal > 1) == host_dead


def test_a_cluster_of_dead_guests_is_dead_each() -> None:
    labels = np.zeros((40, 60), int)
    labels[10:20, 10:20], labels[10:20, 20:30], labels[10:20, 40:50] = 1, 2, 3
    image = np.random.default_rng(1).normal(100, 2, (1, 40, 60)).astype(np.float32)
    image[0][(labels == 1) | (labels == 2)] += 60
    guests = Objects(Masks.from_labels(labels), np.full(3, np.nan), np.full(3, np.nan))
    signal, fill = measure_markers(image, {"guest": guests})["guest"]
    assert (fill[:2] > 0.8).all()
    assert fill[2] == 0
    assert (signal[:2] > 15).all()


def test_no_cells() -> None:
    none = Objects(Masks([], (20, 20)), np.zeros(0), np.zeros(0))
    signal, fill = measure_markers(np.zeros((1, 20, 20), np.float32), {"guest": none})["guest"]
    assert signal.shape == fill.shape == (0,)


def test_in_one_population_a_spread_cell_keeps_the_stain_of_its_nucleus():
    """A round cell lies over the edge of a dead spread cell's nucleus: the stain reaches beyond it."""
    pixels = np.zeros((2, 60, 60), bool)
    pixels[0, 5:55, 5:55] = True
    pixels[1, 20:32, 20:32] = True
    masks = Masks([Mask(i, 0, 0, p) for i, p in enumerate(pixels, start=1)], (60, 60))
    cells = Objects(masks, np.full(2, np.nan), np.full(2, np.nan))
    image = np.full((1, 60, 60), 100.0, np.float32)
    image[0, 26:42, 26:42] = 400.0
    fills = {}
    for name, spread in (("by size", {"tumour": 1000.0}), ("all alike", None)):
        _, fill = measure_markers(
            image, {"tumour": cells}, noise_sd=2.0, background=100.0, spread_from_px=spread
        )["tumour"]  # fmt: skip
        fills[name] = fill
    assert fills["by size"][1] == 0.0
    assert 0.05 < fills["by size"][0] < 0.3
    assert fills["all alike"][1] > 0.2
