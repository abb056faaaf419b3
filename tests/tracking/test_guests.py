"""Guests on paper: each picture is one frame after another, a letter is one cell's place in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.errors import CicimageError
from cicimage.methods import available, build
from cicimage.tracking.assignment import AssignmentTracker
from cicimage.tracking.trackpy_link import TrackpyTracker

UM = 4.0  # one character of a picture


def movie(*frames: str, step_min: float = 2.0, **looks: dict[str, float]) -> pd.DataFrame:
    """Cells from pictures; column ``cell`` keeps the letter. ``looks`` gives area or intensity by letter."""
    rows = []
    for f, picture in enumerate(frames):
        lines = picture.strip("\n").splitlines()
        label = 0
        for i, line in enumerate(lines):
            for j, letter in enumerate(line):
                if letter in " .":
                    continue
                label += 1
                row = {"frame": f, "time_h": f * step_min / 60, "label": label, "y_um": i * UM, "x_um": j * UM}
                row |= {"z_um": np.nan, "area_um2": 44.0, "intensity": 100.0, "cell": letter}
                row |= {name: values[letter] for name, values in looks.items() if letter in values}
                rows.append(row)
    return pd.DataFrame(rows)


def tracked(cells: pd.DataFrame, **options: object) -> pd.DataFrame:
    out = AssignmentTracker(**options).track(cells.drop(columns="cell", errors="ignore"))
    assert out[["frame", "label"]].to_numpy().tolist() == cells[["frame", "label"]].to_numpy().tolist()
    return cells.assign(cell_id=out["cell_id"].to_numpy(), parent_id=out["parent_id"].to_numpy())


def same_cells(cells: pd.DataFrame) -> bool:
    """Whether letters and ids name the same sets of objects."""
    pairs = cells[["cell", "cell_id"]].drop_duplicates()
    return len(pairs) == cells["cell"].nunique() == cells["cell_id"].nunique()


def crossing() -> pd.DataFrame:
    return movie(
        "A...........\nB...........",
        ".A..........\n.B..........",
        "..A.........\n..B.........",
        "...A........\n...B........",
    )


def test_parallel_walk():
    assert same_cells(tracked(crossing()))


def test_crossing_keeps_direction():
    cells = movie(
        "A.......\n........\n........\nB.......",
        ".A......\n........\n........\n.B......",
        "..A.....\n........\n........\n..B.....",
        "...A....\n........\n........\n...B....",
        "....A...\n........\n........\n....B...",
    )
    t = cells["frame"] * 1.0
    cells["y_um"] = np.where(cells["cell"] == "A", 3 * t, 13.5 - 3 * t)  # at frame 3 each lies nearest the other's last
    assert same_cells(tracked(cells))


def test_swap_temptation_brightness_decides():
    rng = np.random.default_rng(3)
    field = _walks(rng, n=40, frames=12, spacing=20.0, step=2.0)
    field["intensity"] = np.exp(5 + 0.5 * (field["cell"] % 7) + rng.normal(0, 0.05, len(field)))
    near = field["cell"].isin([0, 1])  # two cells that dance around one place, one bright, one dim
    field.loc[near, "y_um"] = 500 + rng.normal(0, 2.0, int(near.sum()))
    field.loc[near, "x_um"] = 500 + rng.normal(0, 2.0, int(near.sum()))
    found = tracked(field)
    assert same_cells(found[near])


def test_gap_is_bridged_within_the_time_allowed():
    cells = movie("A..", "A..", "." * 40 + "X", "A..", "A..")
    assert same_cells(tracked(cells))


def test_gap_longer_than_allowed_starts_a_new_cell():
    cells = _still(frames=[0, 1, 2, 9, 10, 11], step_min=2.0)
    assert tracked(cells, max_gap_min=15)["cell_id"].nunique() == 1
    assert tracked(cells, max_gap_min=10)["cell_id"].nunique() == 2


def test_gap_counts_time_not_frames():
    cells = _still(frames=[0, 1, 2, 4, 5, 6], step_min=2.0)
    late = cells["frame"] >= 4
    cells.loc[late, "time_h"] += 2.0  # the medium was changed: one frame missed, two hours gone
    assert tracked(cells, max_gap_min=15)["cell_id"].nunique() == 2


def test_empty_frame_does_not_break_the_track():
    cells = movie("A.....\nB....", "A.....\nB....", "A.....\nB....")
    cells.loc[cells["frame"] == 2, ["frame", "time_h"]] = [3, 0.1]
    assert same_cells(tracked(cells))


def test_two_gaps_at_once_are_not_crossed():
    cells = movie(
        "A.......B", "A.......B", "X........\n........................................", "A.......B", "A.......B"
    )
    cells = cells[cells["cell"] != "X"]
    assert same_cells(tracked(cells))


def test_guest_that_dims_inside_a_host_is_linked_again():
    rng = np.random.default_rng(0)
    walkers = _walks(rng, n=30, frames=40, spacing=30.0, step=1.0)
    dim = walkers["cell"] == 7
    f = walkers["frame"]
    walkers.loc[dim, ["y_um", "x_um"]] = 300.0
    walkers.loc[dim & f.between(9, 11), "intensity"] *= 0.4
    gone = dim & f.between(12, 27)  # 32 min: more than a gap may last
    found = tracked(walkers[~gone])
    assert found[found["cell"] == 7]["cell_id"].nunique() == 1
    bright = walkers.copy()
    bright.loc[dim, "intensity"] = 100.0
    apart = tracked(bright[~gone])
    assert apart[apart["cell"] == 7]["cell_id"].nunique() == 2, "without dimming nothing speaks for the same cell"


def test_drift_jump_is_no_motion_once_removed():
    cells = _walks(np.random.default_rng(5), n=25, frames=10, spacing=25.0, step=1.0)
    raw = cells.copy()
    raw.loc[raw["frame"] >= 5, "x_um"] += 37.0
    assert same_cells(tracked(cells))
    assert not same_cells(tracked(raw)), "the jump must matter, or this test shows nothing"


def division() -> pd.DataFrame:
    frames = ["M", "M", "M", "M", "ab", "ab", "ab", "ab"]
    rows = []
    for f, letters in enumerate(frames):
        for k, letter in enumerate(letters):
            shift = 0.0 if len(letters) == 1 else (k - 0.5) * (6.0 + f - 4)
            area = 60.0 if letter == "M" else 34.0
            rows.append((f, f / 15, k + 1, 50.0, 50.0 + shift, np.nan, area, 100.0, letter))
    names = ["frame", "time_h", "label", "y_um", "x_um", "z_um", "area_um2", "intensity", "cell"]
    extra = _walks(np.random.default_rng(1), n=12, frames=8, spacing=40.0, step=1.0, step_min=4.0, origin=200.0)
    return pd.concat([pd.DataFrame(rows, columns=names), extra], ignore_index=True)


def test_division_gives_two_new_cells_with_one_parent():
    found = tracked(division())
    mother = found.loc[found["cell"] == "M", "cell_id"].unique()
    daughters = found[found["cell"].isin(["a", "b"])]
    assert len(mother) == 1
    assert daughters["cell_id"].nunique() == 2
    assert daughters["parent_id"].unique().tolist() == mother.tolist()
    assert not set(daughters["cell_id"]) & set(mother)
    assert (found.loc[~found["cell"].isin(["a", "b"]), "parent_id"] == 0).all()


def test_division_can_be_switched_off():
    assert (tracked(division(), divisions=False)["parent_id"] == 0).all()


def test_doublet_that_parts_is_no_division():
    cells = division()
    cells.loc[cells["cell"] == "M", "area_um2"] = 95.0  # twice what a guest has, for as long as it was seen
    cells.loc[cells["cell"].isin(["a", "b"]), "area_um2"] = 46.0
    assert (tracked(cells)["parent_id"] == 0).all()


def test_newcomer_beside_a_steady_guest_is_no_daughter():
    cells = division()
    cells.loc[cells["cell"].isin(["M", "a", "b"]), "area_um2"] = 44.0
    assert (tracked(cells)["parent_id"] == 0).all()


@pytest.mark.parametrize("frames", [[0], [4], [0, 1]])
def test_one_cell_alone(frames: list[int]):
    found = tracked(_still(frames=frames, step_min=5.0))
    assert found["cell_id"].unique().tolist() == [1]


def test_no_cells():
    out = AssignmentTracker().track(_still(frames=[0], step_min=1.0).iloc[:0])
    assert out.empty
    assert list(out.columns) == ["frame", "label", "cell_id", "parent_id"]


def test_faster_than_allowed_is_not_linked():
    cells = movie("A.........", ".....A....", "..........A")
    assert tracked(cells, max_speed_um_per_min=12.0)["cell_id"].nunique() == 1
    assert tracked(cells, max_speed_um_per_min=5.0)["cell_id"].nunique() == 3


def test_crowd_beyond_trackpys_limit():
    cells = _walks(np.random.default_rng(2), n=150, frames=6, spacing=9.0, step=1.2)
    with pytest.raises(CicimageError, match=r"at most \d+ guests.*search_um = 40.*method = \"assignment\""):
        TrackpyTracker(search_um=40.0).track(cells)
    found = tracked(cells)
    links = found.merge(found.assign(frame=found["frame"] + 1), on=["frame", "cell"])
    assert (links["cell_id_x"] == links["cell_id_y"]).mean() > 0.9


def test_trackpy_behind_the_same_door():
    cells = _walks(np.random.default_rng(4), n=30, frames=8, spacing=30.0, step=1.0)
    out = build("track_guest", "trackpy", {"memory_frames": 1}).track(cells)
    assert same_cells(cells.assign(cell_id=out["cell_id"].to_numpy()))
    assert out["cell_id"].min() == 1
    assert {"assignment", "trackpy"} <= set(available("track_guest"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.drop(columns="x_um"), "needs the column 'x_um'"),
        (lambda c: c.assign(y_um=np.nan), "finite y_um.*frame 0, label 1"),
        (lambda c: c.assign(label=1), "label 1 twice"),
        (lambda c: c.assign(time_h=0.0), "time must rise.*frame 0 .*frame 1"),
    ],
)
def test_bad_tables_are_refused(change, said: str):
    with pytest.raises(CicimageError, match=said):
        AssignmentTracker().track(change(crossing().drop(columns="cell")))


# ---------------------------------------------------------------- properties


def _still(frames: list[int], step_min: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": frames, "time_h": np.array(frames) * step_min / 60, "label": 1, "y_um": 40.0, "x_um": 60.0,
            "z_um": np.nan, "area_um2": 44.0, "intensity": 100.0, "cell": "A",
        }
    )  # fmt: skip


def _walks(
    rng: np.random.Generator,
    n: int,
    frames: int,
    spacing: float,
    step: float,
    step_min: float = 2.0,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Walkers on a lattice: their spacing is well beyond their steps."""
    side = int(np.ceil(np.sqrt(n)))
    start = np.stack(np.divmod(np.arange(n), side), axis=1) * spacing + origin
    rows = []
    for f in range(frames):
        place = start + rng.normal(0, step, (n, 2))
        rows.append(
            pd.DataFrame(
                {
                    "frame": f, "time_h": f * step_min / 60, "label": rng.permutation(n) + 100 * (origin > 0) + 1,
                    "y_um": place[:, 0], "x_um": place[:, 1], "z_um": np.nan, "area_um2": 44.0, "intensity": 100.0,
                    "cell": np.arange(n),
                }
            )
        )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def _partition(cells: pd.DataFrame, ids: pd.Series) -> set[frozenset[tuple[int, int]]]:
    keys = list(zip(cells["frame"], cells["cell"], strict=True))
    return {frozenset(keys[i] for i in rows) for rows in cells.groupby(ids.to_numpy()).indices.values()}


sizes = {"seed": st.integers(0, 10_000), "n": st.integers(1, 25), "frames": st.integers(2, 8)}


@settings(deadline=None, max_examples=25)
@given(**sizes)
def test_relabelling_changes_nothing(seed: int, n: int, frames: int):
    rng = np.random.default_rng(seed)
    cells = _walks(rng, n, frames, spacing=12.0, step=3.0)
    shuffled = cells.sample(frac=1.0, random_state=seed)
    shuffled["label"] = 1000 - shuffled["label"]
    a, b = AssignmentTracker().track(cells), AssignmentTracker().track(shuffled)
    known = cells.assign(id=a["cell_id"]).merge(shuffled.assign(id=b["cell_id"].to_numpy()), on=["frame", "cell"])
    assert (known["id_x"] == known["id_y"]).all()


@settings(deadline=None, max_examples=25)
@given(**sizes, dy=st.integers(-4096, 4096), dx=st.integers(-4096, 4096))
def test_translation_changes_nothing(seed: int, n: int, frames: int, dy: int, dx: int):
    cells = _walks(np.random.default_rng(seed), n, frames, spacing=12.0, step=2.0)
    cells[["y_um", "x_um"]] = cells[["y_um", "x_um"]].round(3)
    moved = cells.assign(y_um=cells["y_um"] + dy, x_um=cells["x_um"] + dx)
    a, b = AssignmentTracker().track(cells)["cell_id"], AssignmentTracker().track(moved)["cell_id"]
    assert _partition(cells, a) == _partition(cells, b)


@settings(deadline=None, max_examples=25)
@given(**sizes)
def test_time_reversal_of_gap_free_linking(seed: int, n: int, frames: int):
    cells = _walks(np.random.default_rng(seed), n, frames, spacing=40.0, step=1.5)
    back = cells.assign(frame=frames - 1 - cells["frame"])
    back["time_h"] = back["frame"] / 30
    a = AssignmentTracker(max_gap_min=0, relink_min=0).track(cells)["cell_id"]
    b = AssignmentTracker(max_gap_min=0, relink_min=0).track(back)["cell_id"]
    assert _partition(cells, a) == _partition(cells, b)
    assert len(_partition(cells, a)) == n


@settings(deadline=None, max_examples=25)
@given(**sizes, space=st.sampled_from([0.125, 0.5, 8.0]), time=st.sampled_from([0.25, 16.0]))
def test_change_of_units_changes_nothing(seed: int, n: int, frames: int, space: float, time: float):
    cells = _walks(np.random.default_rng(seed), n, frames, spacing=12.0, step=2.5)
    other = cells.assign(
        y_um=cells["y_um"] * space, x_um=cells["x_um"] * space, area_um2=cells["area_um2"] * space**2,
        time_h=cells["time_h"] * time,
    )  # fmt: skip
    a = AssignmentTracker(max_gap_min=10.0, relink_min=0, max_speed_um_per_min=20.0).track(cells)["cell_id"]
    b = AssignmentTracker(max_gap_min=10.0 * time, relink_min=0, max_speed_um_per_min=20.0 * space / time).track(other)[
        "cell_id"
    ]
    assert _partition(cells, a) == _partition(cells, b)
