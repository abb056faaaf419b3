"""Hosts as pictures: every letter is one host, every character a pixel of its mask."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.masks import Mask, Masks
from cicimage.tracking.overlap import OverlapTracker

UM_PER_PX = 5.0


def movie(
    *pictures: str, step_min: float = 10.0, shift: dict[int, tuple[int, int]] | None = None
) -> tuple[pd.DataFrame, dict[int, Masks]]:
    """Cells and masks from pictures; ``shift`` moves a frame's masks as a stage would (cells stay drift-free)."""
    rows, masks = [], {}
    for f, picture in enumerate(pictures):
        grid = np.array([list(line) for line in picture.split()])
        dy, dx = (shift or {}).get(f, (0, 0))
        found = []
        for label, letter in enumerate(sorted(set(grid.ravel()) - {"."}), start=1):
            ys, xs = np.nonzero(grid == letter)
            pixels = grid[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] == letter
            found.append(Mask(label, int(ys.min()) + dy, int(xs.min()) + dx, pixels))
            rows.append(
                {
                    "frame": f, "time_h": f * step_min / 60, "label": label, "y_um": ys.mean() * UM_PER_PX,
                    "x_um": xs.mean() * UM_PER_PX, "z_um": np.nan, "area_um2": ys.size * UM_PER_PX**2,
                    "intensity": 100.0, "cell": letter,
                }
            )  # fmt: skip
        masks[f] = Masks(found, (64, 64))
    return pd.DataFrame(rows), masks


def tracked(cells: pd.DataFrame, masks: dict[int, Masks] | None, shift=None, **options) -> pd.DataFrame:
    masks_of = masks.__getitem__ if masks is not None else None
    shift_px = (lambda f: (shift or {}).get(f, (0.0, 0.0))) if masks is not None else None
    out = OverlapTracker(**options).track(cells.drop(columns="cell"), masks_of, shift_px)
    return cells.assign(cell_id=out["cell_id"].to_numpy(), parent_id=out["parent_id"].to_numpy())


def same_cells(cells: pd.DataFrame) -> bool:
    pairs = cells[["cell", "cell_id"]].drop_duplicates()
    return len(pairs) == cells["cell"].nunique() == cells["cell_id"].nunique()


SIDE_BY_SIDE = """
AAAABBBB
AAAABBBB
AAAABBBB
"""
CREPT_RIGHT = """
.AAAABBB
.AAAABBB
.AAAABBB
"""


def test_neighbours_that_creep_keep_their_names():
    cells, masks = movie(SIDE_BY_SIDE, CREPT_RIGHT, SIDE_BY_SIDE)
    assert same_cells(tracked(cells, masks))


def test_shape_tells_where_centroids_do_not():
    ring = "AAAAA\nA...A\nA.B.A\nA...A\nAAAAA"
    cells, masks = movie(ring, ring, ring)
    assert same_cells(tracked(cells, masks))


def test_a_jump_of_the_stage_is_taken_out():
    shift = {1: (30, -20), 2: (30, -20)}
    cells, masks = movie(SIDE_BY_SIDE, CREPT_RIGHT, SIDE_BY_SIDE, shift=shift)
    assert same_cells(tracked(cells, masks, shift))


def test_masks_are_laid_where_the_shift_says():
    cells, masks = movie(SIDE_BY_SIDE, SIDE_BY_SIDE)
    cells["y_um"], cells["x_um"] = 0.0, np.array([0.0, 1.0, 0.0, 1.0])  # centroids say nothing, masks decide
    swapped = tracked(cells, masks, shift={1: (0, 4)})
    assert swapped["cell_id"].iloc[3] == swapped["cell_id"].iloc[0]
    assert tracked(cells, masks)["cell_id"].iloc[3] == swapped["cell_id"].iloc[1]


def test_host_lost_for_a_while_is_found_in_its_place():
    only_b = "....BBBB\n....BBBB\n....BBBB"
    cells, masks = movie(SIDE_BY_SIDE, only_b, only_b, SIDE_BY_SIDE)
    assert same_cells(tracked(cells, masks))
    assert not same_cells(tracked(cells, masks, max_gap_min=25.0))
    late = cells.assign(time_h=cells["time_h"] * 4)
    assert not same_cells(tracked(late, masks, max_gap_min=60.0)), "gaps count time"


MOTHER = "MMMMMM..\nMMMMMM..\nMMMMMM.."
DAUGHTERS = "aaabbb..\naaabbb..\naaabbb.."


def test_division():
    cells, masks = movie(*[MOTHER] * 4, *[DAUGHTERS] * 4)
    found = tracked(cells, masks)
    mother = found.loc[found["cell"] == "M", "cell_id"].unique()
    assert same_cells(found)
    assert found.loc[found["cell"] != "M", "parent_id"].unique().tolist() == mother.tolist()
    assert (found.loc[found["cell"] == "M", "parent_id"] == 0).all()
    assert (tracked(cells, masks, divisions=False)["parent_id"] == 0).all()


def test_two_that_were_one_mask_for_a_frame_did_not_divide():
    apart, merged = "aaabbb..\naaabbb..\naaabbb..", "aaaaaa..\naaaaaa..\naaaaaa.."
    cells, masks = movie(*[apart] * 3, *[merged] * 3, *[apart] * 3)
    found = tracked(cells, masks)
    assert (found["parent_id"] == 0).all()
    assert found["cell_id"].nunique() == 2


def test_split_for_a_frame_is_no_division():
    cells, masks = movie(*[MOTHER] * 4, DAUGHTERS, *[MOTHER] * 4)
    found = tracked(cells, masks)
    assert (found["parent_id"] == 0).all()
    assert found.loc[found["cell"] == "M", "cell_id"].nunique() == 1


def test_granddaughters_descend_from_the_daughter():
    third = "aaabcc..\naaabcc..\naaabcc.."
    cells, masks = movie(*[MOTHER] * 4, *[DAUGHTERS] * 5, *[third] * 5)
    found = tracked(cells, masks)
    born = found.groupby("cell_id")["parent_id"].first()
    late = found[found["frame"] == 13].set_index("cell")["cell_id"]
    assert born[born[late["c"]]] == found["cell_id"].iloc[0]


def test_without_masks_centroids_decide():
    cells, _ = movie(SIDE_BY_SIDE, CREPT_RIGHT, SIDE_BY_SIDE)
    assert same_cells(tracked(cells, None))


def test_no_hosts_and_one_host():
    cells, masks = movie(MOTHER)
    assert tracked(cells, masks)["cell_id"].tolist() == [1]
    assert OverlapTracker().track(cells.iloc[:0]).empty


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_relabelling_changes_nothing(seed: int):
    cells, masks = movie(SIDE_BY_SIDE, CREPT_RIGHT, SIDE_BY_SIDE, *[MOTHER] * 2)
    rng = np.random.default_rng(seed)
    renamed: dict[int, dict[int, int]] = {}
    for f, own in masks.items():
        renamed[f] = dict(zip(own.labels.tolist(), (rng.permutation(50)[: len(own)] + 1).tolist(), strict=True))
    other = {
        f: Masks([Mask(renamed[f][m.label], m.y0, m.x0, m.pixels) for m in own][::-1], own.shape)
        for f, own in masks.items()
    }
    shuffled = cells.assign(label=[renamed[f][n] for f, n in zip(cells["frame"], cells["label"], strict=True)])
    shuffled = shuffled.sample(frac=1, random_state=seed)
    a, b = tracked(cells, masks), tracked(shuffled, other)
    both = a.merge(b, on=["frame", "cell"])
    assert (both["cell_id_x"] == both["cell_id_y"]).all()


def test_real_spread_cells_keep_the_names_a_published_tracker_gave(real_data):
    """T98G in phase contrast: ids of Usiigaci's tracker over four frames (a published result, not hand truth)."""
    folder = real_data / "usiigaci_T98G_timelapse" / "id_masks"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    rows, masks = [], {}
    for f, path in enumerate(sorted(folder.glob("*.png"))):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int32)
        named = Masks.from_labels(image)
        order = np.random.default_rng(f).permutation(len(named)) + 1  # labels must tell the tracker nothing
        masks[f] = Masks([Mask(int(n), m.y0, m.x0, m.pixels) for n, m in zip(order, named, strict=True)], image.shape)
        for n, m in zip(order, named, strict=True):
            y, x = m.centroid_px()
            rows.append((f, f / 6, int(n), y * 0.87, x * 0.87, np.nan, m.area_px * 0.87**2, 100.0, m.label))
    names = ["frame", "time_h", "label", "y_um", "x_um", "z_um", "area_um2", "intensity", "cell"]
    found = tracked(pd.DataFrame(rows, columns=names), masks)
    both = found.merge(found.assign(frame=found["frame"] - 1), on=["frame", "cell"], suffixes=("", "_next"))
    assert len(both) > 150
    assert (both["cell_id"] == both["cell_id_next"]).mean() > 0.97
