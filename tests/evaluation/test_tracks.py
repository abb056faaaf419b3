"""Measures of tracks against hand counts, py-ctcmetrics, traccuracy and the official test data."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import tifffile

from cicimage.evaluation.tracks import Tracks, chota, count_links, identity_switches, tra, tracks_of


def tracks(*cells: str, parents: dict[int, int] | None = None) -> Tracks:
    """Cells from words, a letter a frame: anything but a dot is a sighting."""
    frame, cell = [], []
    for c, word in enumerate(cells):
        for f, letter in enumerate(word):
            if letter != ".":
                frame.append(f)
                cell.append(c)
    parent = np.full(len(cells), -1, np.int64)
    for child, mother in (parents or {}).items():
        parent[child] = mother
    return Tracks(np.array(frame, np.int64), np.array(cell, np.int64), parent)


def paired(truth: Tracks, result: Tracks, letters_true: list[str], letters: list[str]) -> np.ndarray:
    """Pairs of sightings whose letters and frames are the same."""
    where = {(words[c][f], f): i for words, t, i, f, c in _sightings(letters, result)}
    rows = [
        (i, where[words[c][f], f]) for words, t, i, f, c in _sightings(letters_true, truth) if (words[c][f], f) in where
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


def _sightings(words: list[str], t: Tracks) -> Iterator[tuple[list[str], Tracks, int, int, int]]:
    for i, (f, c) in enumerate(zip(t.frame.tolist(), t.cell.tolist(), strict=True)):
        yield words, t, i, f, c


def world(
    truth: list[str], result: list[str], born_true: dict[int, int] | None = None, born: dict[int, int] | None = None
) -> tuple[Tracks, Tracks, np.ndarray]:
    a, b = tracks(*truth, parents=born_true), tracks(*result, parents=born)
    return a, b, paired(a, b, truth, result)


CASES = {
    # truth, result, links found / missed / wrong, switches, swaps, TRA
    "perfect": (["aaaa", "bbbb"], ["aaaa", "bbbb"], (6, 0, 0), 0, 0, 1.0),
    "swap": (["aaaa", "bbbb"], ["aabb", "bbaa"], (4, 2, 2), 2, 2, 1 - (2 * 1.5 + 2) / (80 + 9)),
    "break": (["aaaa"], ["aa..", "..aa"], (2, 1, 0), 1, 0, 1 - 1.5 / (40 + 4.5)),
    "missed sighting": (["aaaa"], ["aa.a"], (1, 2, 1), 0, 0, 1 - (10 + 2 * 1.5 + 1) / (40 + 4.5)),
    "missed cell": (["aaaa", "bbbb"], ["aaaa"], (3, 3, 0), 0, 0, 1 - (40 + 4.5) / (80 + 9)),
    "false cell": (["aaaa"], ["aaaa", "zzzz"], (3, 0, 3), 0, 0, 1 - 4 / (40 + 4.5)),
    "nothing found": (["aaaa"], [], (0, 3, 0), 0, 0, 0.0),
}


@pytest.mark.parametrize("name", list(CASES))
def test_named_cases(name: str):
    truth, result, links, switches, swaps, expected = CASES[name]
    a, b, pairs = world(truth, result)
    counts = count_links(a, b, pairs)
    assert (counts.found, counts.missed, counts.wrong) == links
    found = identity_switches(a, b, pairs)
    assert (len(found), int(found["swapped"].sum())) == (switches, swaps)
    assert tra(a, b, pairs) == pytest.approx(expected)
    assert 0 <= chota(a, b, pairs) <= 1
    assert (chota(a, b, pairs) == pytest.approx(1.0)) == (name == "perfect")


def test_division_missed_costs_two_links():
    truth, result = ["aa..", "..bb", "..cc"], ["aa..", "..bb", "..cc"]
    a, b, pairs = world(truth, result, born_true={1: 0, 2: 0})
    assert (count_links(a, b, pairs).missed, count_links(a, b, pairs).wrong) == (2, 0)
    assert tra(a, b, pairs) == pytest.approx(1 - 2 * 1.5 / (60 + 5 * 1.5))
    assert chota(a, b, pairs) < 1


def test_mother_followed_into_a_daughter_changes_the_links_meaning():
    a, b, pairs = world(["aa..", "..bb", "..cc"], ["aabb", "..cc"], born_true={1: 0, 2: 0}, born={1: 0})
    assert tra(a, b, pairs) < 1 - (1.0 / (60 + 5 * 1.5)) + 1e-9


def test_ids_are_per_position():
    frames = pd.DataFrame({"position": ["p", "p", "q"], "frame": [0, 1, 1], "guest_id": 7, "parent_id": 0})
    t = tracks_of(frames)
    assert t.cell.tolist() == [0, 0, 1]
    assert len(t.edges()[0]) == 1


def test_parents_are_found_within_their_position():
    frames = pd.DataFrame(
        {"position": ["p", "p", "q", "q"], "frame": [0, 1, 0, 1], "guest_id": [1, 2, 2, 1], "parent_id": [0, 1, 0, 2]}
    )
    assert tracks_of(frames).parent.tolist() == [-1, 0, -1, 2]


def test_guest_that_left_the_field_comes_back_as_another():
    frames = pd.DataFrame(
        {"position": "p", "frame": [0, 1, 4, 5, 6], "guest_id": [1, 1, 1, 1, 2], "parent_id": [0] * 4 + [1]}
    )
    t = tracks_of(frames, split_gaps=True)
    assert t.cell.tolist() == [0, 0, 1, 1, 2]
    assert t.parent.tolist() == [-1, -1, 1], "a daughter descends from the mother as she was seen last"
    assert tracks_of(frames).cell.tolist() == [0, 0, 0, 0, 1]


# ---------------------------------------------------------------- against others


def random_world(seed: int) -> tuple[Tracks, Tracks, np.ndarray]:
    """Tracks with divisions on both sides, some sightings missed or false, some tracks swapped or broken."""
    rng = np.random.default_rng(seed)
    frames, rows, parent = 12, [], []
    for _ in range(8):
        start, end = sorted(rng.integers(0, frames, 2).tolist())
        parent.append(-1)
        rows += [(f, len(parent) - 1) for f in range(start, end + 1)]
        if end < frames - 2 and rng.random() < 0.5:
            mother = len(parent) - 1
            for _ in range(2):
                parent.append(mother)
                rows += [(f, len(parent) - 1) for f in range(end + 1, frames)]
    truth = Tracks(*(np.array(v, np.int64) for v in zip(*rows, strict=True)), np.array(parent, np.int64))
    key = {(f, c): i for i, (f, c) in enumerate(rows)}
    found: list[tuple[int, int]] = []
    parent_found: list[int] = []
    pairs, last_part = [], {}
    for c in range(len(parent)):
        own = sorted(f for f, d in rows if d == c)
        kept = [f for f in own if rng.random() > 0.1]
        runs = np.split(kept, np.flatnonzero((np.diff(kept) > 1) | (rng.random(max(len(kept) - 1, 0)) < 0.1)) + 1)
        for n, run in enumerate(r for r in runs if len(r)):
            mother = last_part.get(parent[c], -1) if n == 0 and rng.random() < 0.7 else -1
            ok = mother >= 0 and max(f for f, d in found if d == mother) < run[0]
            parent_found.append(mother if ok else -1)
            for f in run.tolist():
                pairs.append((key[f, c], len(found)))
                found.append((f, len(parent_found) - 1))
        last_part[c] = len(parent_found) - 1
    parent_found.append(-1)
    found += [(f, len(parent_found) - 1) for f in range(3, 7)]  # a false track
    pairs_array = np.array(pairs, np.int64).reshape(-1, 2)
    for _ in range(3):  # swapped matches within a frame
        i, j = rng.integers(0, len(pairs_array), 2)
        if found[pairs_array[i, 1]][0] == found[pairs_array[j, 1]][0]:
            pairs_array[[i, j], 1] = pairs_array[[j, i], 1]
    result = Tracks(*(np.array(v, np.int64) for v in zip(*found, strict=True)), np.array(parent_found, np.int64))
    return truth, result, pairs_array


def as_ctc(t: Tracks) -> tuple[np.ndarray, list[np.ndarray]]:
    rows = [
        (c + 1, t.frame[t.cell == c].min(), t.frame[t.cell == c].max(), t.parent[c] + 1) for c in range(t.parent.size)
        if (t.cell == c).any()
    ]  # fmt: skip
    return np.array(rows), [np.sort(t.cell[t.frame == f] + 1) for f in range(12)]


@pytest.mark.parametrize("seed", range(12))
def test_against_py_ctcmetrics(seed: int):
    metrics = pytest.importorskip("ctc_metrics.metrics")
    from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations

    truth, result, pairs = random_world(seed)
    (ref, labels_ref), (comp, labels_comp) = as_ctc(truth), as_ctc(result)
    mapped_ref = [(truth.cell[p[truth.frame[p[:, 0]] == f][:, 0]] + 1).tolist() for f in range(12) for p in [pairs]]
    mapped_comp = [(result.cell[p[truth.frame[p[:, 0]] == f][:, 1]] + 1).tolist() for f in range(12) for p in [pairs]]
    matching = (labels_ref, labels_comp, mapped_ref, mapped_comp)
    operations = count_acyclic_graph_correction_operations(ref, comp, *matching)
    assert tra(truth, result, pairs) == pytest.approx(_tra(metrics, operations))
    assert chota(truth, result, pairs) == pytest.approx(metrics.chota(ref, comp, *matching)["CHOTA"])
    switches = metrics.mota(*([np.array(x, int) for x in m] for m in matching))["IDSW"]
    assert len(identity_switches(truth, result, pairs)) == switches


def _tra(metrics: object, operations: dict[str, int]) -> float:
    out = metrics.tra(**operations)  # type: ignore[attr-defined]
    return float(out["TRA"] if isinstance(out, dict) else out[0])


@pytest.mark.parametrize("seed", range(6))
def test_against_traccuracy(seed: int):
    nx = pytest.importorskip("networkx")
    pytest.importorskip("traccuracy")
    from traccuracy import TrackingGraph
    from traccuracy.matchers import Matched
    from traccuracy.metrics import BasicMetrics, CHOTAMetric, CTCMetrics

    truth, result, pairs = random_world(seed)

    def graph(t: Tracks) -> TrackingGraph:
        g = nx.DiGraph()
        g.add_nodes_from((i + 1, {"t": int(f), "x": 0, "y": 0}) for i, f in enumerate(t.frame))
        g.add_edges_from((t.edges()[0] + 1).tolist())
        return TrackingGraph(g, label_key=None, location_keys=("y", "x"))

    def matched() -> Matched:
        m = Matched(graph(truth), graph(result), [(a + 1, b + 1) for a, b in pairs.tolist()], {"name": "given"})
        m.matching_type  # noqa: B018 - worked out once
        return m

    basic = BasicMetrics().compute(matched()).results
    counts = count_links(truth, result, pairs)
    assert counts.f1 == pytest.approx(basic["Edge F1"])
    # traccuracy reads divisions off the graph, so that tracks which begin as an only daughter differ in meaning
    assert tra(truth, result, pairs) == pytest.approx(CTCMetrics().compute(matched()).results["TRA"], abs=0.02)
    assert chota(truth, result, pairs) == pytest.approx(CHOTAMetric().compute(matched()).results["CHOTA"], abs=0.02)


def test_official_test_data(real_data, tmp_path):
    """TRA of the Cell Tracking Challenge's own test set, as py-ctcmetrics gives it from the masks."""
    evaluate = pytest.importorskip("ctc_metrics.scripts.evaluate")
    folder = real_data / "ctc_metrics_testdata" / "test_data.zip"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    with zipfile.ZipFile(folder) as archive:
        archive.extractall(tmp_path)
        truth, masks_true = read_ctc(archive, "GT/TRA/man_track", "GT/TRA/man_track.txt")
        result, masks = read_ctc(archive, "res/mask", "res/res_track.txt")
    pairs = []
    for f, (a, b) in enumerate(zip(masks_true, masks, strict=True)):
        for label in np.unique(a[a > 0]):
            over, n = np.unique(b[a == label], return_counts=True)
            best = over[np.argmax(n)]
            if best > 0 and n.max() > 0.5 * (a == label).sum():
                pairs.append((index(truth, f, label), index(result, f, best)))
    expected = evaluate.evaluate_sequence(
        str(tmp_path / "res"), str(tmp_path / "GT"), ["TRA", "CHOTA", "MOTA"], threads=1
    )
    found = np.array(pairs, np.int64)
    assert tra(truth, result, found) == pytest.approx(expected["TRA"])
    assert chota(truth, result, found) == pytest.approx(expected["CHOTA"])


def read_ctc(archive: zipfile.ZipFile, stem: str, table: str) -> tuple[Tracks, list[np.ndarray]]:
    masks = [tifffile.imread(io.BytesIO(archive.read(f"{stem}{f:03d}.tif"))) for f in range(6)]
    rows = np.loadtxt(io.BytesIO(archive.read(table)), dtype=np.int64, ndmin=2)
    parent = np.full(int(max(m.max() for m in masks)) + 1, -1, np.int64)
    for label, _, _, mother in rows:
        parent[label] = mother if mother > 0 else -1
    found = [(f, label) for f, m in enumerate(masks) for label in np.unique(m[m > 0])]
    return Tracks(*(np.array(v, np.int64) for v in zip(*found, strict=True)), parent), masks


def index(t: Tracks, frame: int, label: int) -> int:
    return int(np.flatnonzero((t.frame == frame) & (t.cell == label))[0])
