"""The analysis on arrays: the same numbers as from files, each step alone, and its refusals."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cicimage as cic
from cicimage.errors import ConfigurationError, RecordingError
from cicimage.experiment import load_experiment
from cicimage.store import PositionFolder, read_table
from tests.conftest import draw_movie, write_movie

ROOT = Path(__file__).parents[2]
UM = 1.0
HOST, GUEST = [(60.0, 60.0, 40.0)], [(50.0, 50.0, 5.0), (110.0, 20.0, 5.0)]
OPTICS = {"um_per_px": UM, "frame_interval_s": 300.0}


@pytest.fixture(scope="module")
def movie():
    """Five frames of 1 um per pixel with one host, a guest over it and one outside; (T, C, Y, X)."""
    return draw_movie(HOST, GUEST, frames=5)


def steps(movie, **of_hosts):
    guests = [cic.segment_guests(frame[1], UM) for frame in movie]
    hosts = [cic.segment_hosts(f[0], UM, guests=g, **of_hosts) for f, g in zip(movie, guests, strict=True)]
    guest_tracks = cic.track(guests, UM, interval_s=300.0, images=movie[:, 1])
    host_tracks = cic.track(hosts, UM, interval_s=300.0, role="host")
    evidence = [cic.measure_containment(f[0], f[1], g, h, UM) for f, g, h in zip(movie, guests, hosts, strict=True)]
    return evidence, guest_tracks, host_tracks


@pytest.mark.slow
def test_an_array_gives_the_tables_of_its_file(tmp_path, movie):
    from cicimage.batch import open_batch, run_batch

    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", draw_movie(HOST, GUEST, frames=5))
    (tmp_path / "in" / "experiment.toml").write_text('[experiment]\nname = "x"\n')
    batch = open_batch(load_experiment(tmp_path / "in"), tmp_path / "OUT")
    assert run_batch(batch).exit_code == 0
    (key,) = batch.results.read_run()["positions"].values()
    folder = PositionFolder(batch.results.position(key).root)
    found = cic.run(movie, "TCYX", channels={"host": 0, "guest": 1}, optics=OPTICS)
    for name in ("frames", "events", "guests", "hosts", "cells", "pairs"):
        stored = read_table(folder.table(name)).drop(columns="position", errors="ignore")
        ours = getattr(found, name).drop(columns="position", errors="ignore")
        pd.testing.assert_frame_equal(ours[stored.columns], stored, check_dtype=False, rtol=1e-9)
    assert found.labels("guest").shape == movie.shape[:1] + movie.shape[2:]


def test_each_step_alone_places_guests_as_the_whole_does(movie):
    scored = cic.score(*steps(movie), UM, interval_s=300.0)
    by_place = scored.frames.sort_values("y_um").groupby("guest_id", sort=False)["location"].unique()
    assert [set(places) for places in by_place] == [{*by_place.iloc[0]}, {"free"}]
    assert "free" not in set(by_place.iloc[0])
    assert len(scored.hosts) == 1


def test_masks_with_overlap_and_label_images_are_taken_alike(movie):
    flat, overlapping = steps(movie), steps(movie, overlap=True)
    pd.testing.assert_frame_equal(flat[0][0], overlapping[0][0])


def test_tracks_of_somebody_else_need_only_place_label_and_area(movie):
    evidence, guests, hosts = steps(movie)
    kept = ["frame", "label", "cell_id", "y_um", "x_um", "area_um2"]
    ours = cic.score(evidence, guests, hosts, UM, interval_s=300.0)
    theirs = cic.score(evidence, guests[guests["observed"]][kept], hosts[hosts["observed"]][kept], UM, interval_s=300.0)
    assert theirs.frames["location"].tolist() == ours.frames["location"].tolist()


def test_heights_of_foreign_masks_in_a_stack_are_measured():
    z, y, x = np.mgrid[:15, :80, :80].astype(float)
    ball = ((z - 6) * 1.0) ** 2 + ((y - 40) * 0.65) ** 2 + ((x - 30) * 0.65) ** 2 < 5.0**2
    stack = 100.0 + 500.0 * ball + np.random.default_rng(3).normal(0, 2, ball.shape)
    labels = ball.any(axis=0).astype(int)
    optics = cic.Optics(um_per_px=0.65, um_per_z=1.0)
    cells = cic.track([labels, labels], optics, interval_s=60.0, images=[stack, stack])
    assert cells["z_um"].to_numpy() == pytest.approx(6.0, abs=0.3)
    assert cells["z_extent_um"].to_numpy() == pytest.approx(10.0, abs=1.5)


def test_a_death_marker_is_measured_per_cell_and_makes_a_guest_dead(movie):
    evidence, guests, hosts = steps(movie)
    marker = np.full(movie.shape[2:], 100.0) + np.random.default_rng(5).normal(0, 3, movie.shape[2:])
    labels = cic.segment_guests(movie[0, 1], UM)
    outside = labels[110, 20]
    marker[labels == outside] += 500.0
    told, _ = cic.measure_death(marker, labels, np.zeros_like(labels), UM)
    fill = told.set_index("label")["death_fill"]
    assert fill[outside] > 0.9
    assert fill.drop(outside).max() == 0
    stained = guests.drop(columns=["death_signal", "death_fill"]).merge(told, on="label")
    scored = cic.score(evidence, stained, hosts, UM, interval_s=300.0, death_marker="pi")
    dead = scored.frames.groupby("guest_id")["viability"].agg(lambda v: "dead" in set(v))
    assert sorted(dead) == [False, True]


def test_rates_take_the_donor_as_n(movie):
    scored = cic.score(*steps(movie), UM, interval_s=300.0)
    design = pd.DataFrame(
        {"position": ["a", "b", "c", "d"], "condition": ["x", "y"] * 2, "donor": ["D1", "D1", "D2", "D2"]}
    )
    tables = cic.rates(dict.fromkeys("abcd", scored), design, reference="x")
    entry = tables["rates"].query("estimand == 'entry_rate_per_guest_h' and condition == 'y'").iloc[0]
    assert (entry["n_donors"], entry["n_positions"]) == (2, 2)
    assert "y" in set(tables["comparisons"]["condition"])


def test_a_lazy_array_is_read_plane_by_plane(movie):
    class Lazy:
        shape, dtype = movie.shape, movie.dtype
        most = 0

        def __getitem__(self, index):
            part = movie[index]
            Lazy.most = max(Lazy.most, part.size)
            return part

    found = cic.run(Lazy(), "TCYX", channels={"host": 0, "guest": 1}, optics=OPTICS)
    assert len(found.frames)
    assert Lazy.most == movie.shape[2] * movie.shape[3]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: cic.run(m, "TCXY", channels={"host": 0, "guest": 1}), "axes must name each axis of the array once"),
        (lambda m: cic.run(m, "TCYX", channels={"host": "Host", "guest": 1}, optics=OPTICS), "have numbers, not names"),
        (lambda m: cic.run(m, "TCYX", files={"root": "."}), "'files' is no section of experiment.toml"),
        (lambda m: cic.run(m > 0, "TCYX", channels={"host": 0, "guest": 1}), "movie must hold counts"),
        (lambda m: cic.run(m, "TCYX", channels={"host": 0, "gest": 1}), "cic.run: unknown key 'gest'"),
        (lambda m: cic.segment_guests(m, UM), "image must be one frame of one channel"),
        (lambda m: cic.segment_guests(m[0], UM), "a stack of 3 slices needs its focus step"),
        (lambda m: cic.segment_guests(m[0, 1], -1.0), "um_per_px must be above 0 um, is -1"),
        (lambda m: cic.segment_hosts(m[0, 0], UM, guests=np.zeros((3, 3), int)), "guests must have the height and"),
        (lambda m: cic.segment_hosts(m[0, 0], UM, method="log"), "method 'log' is not installed"),
        (lambda m: cic.segment_guests(m[0, 1], UM, method=0), "method for segment_guest must be a GuestSegmenter"),
        (lambda m: cic.track([], UM, interval_s=1.0), "labels must hold one label image per frame"),
        (lambda m: cic.track([m[0, 0] * 1.0], UM, interval_s=1.0), r"labels\[0\] must be a \(Y, X\) image of integer"),
        (lambda m: cic.track([np.eye(5, dtype=int)], UM, interval_s=1.0, role="x"), "role must be 'guest' or 'host'"),
        (lambda m: cic.track([np.eye(5, dtype=int)] * 2, UM, interval_s=0.0), "interval_s must be seconds above 0"),
        (lambda m: cic.track([np.eye(5, dtype=int)], UM, interval_s=1.0, drift_um=[1, 2]), r"drift_um must be finite"),
        (lambda m: cic.score(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), UM, interval_s=1.0), "evidence must have"),
        (lambda m: cic.rates({}, pd.DataFrame({"position": [], "condition": []})), "design must have one row"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument_and_the_remedy(movie, call, says):
    with pytest.raises(ConfigurationError, match=says):
        call(movie)


def test_a_scale_that_is_missing_is_named_as_for_files(movie):
    with pytest.raises(RecordingError, match=r"set optics\.um_per_px"):
        cic.run(movie, "TCYX", channels={"host": 0, "guest": 1})


def test_a_frame_without_a_time_and_an_unknown_reference_are_refused(movie):
    evidence, guests, hosts = steps(movie)
    with pytest.raises(ConfigurationError, match="frame 4 must have a time, interval_s gives 3"):
        cic.score(evidence, guests, hosts, UM, interval_s=[0.0, 1.0, 2.0])
    scored = cic.score(evidence, guests, hosts, UM, interval_s=300.0)
    with pytest.raises(ConfigurationError, match="reference 'z' must be a condition of the design"):
        cic.rates({"a": scored}, pd.DataFrame({"position": ["a"], "condition": ["x"]}), reference="z")


@pytest.mark.slow
def test_the_document_runs_as_written(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, names)  # noqa: S102 - the very text of the docs
    assert set(names["result"].frames["location"]) >= {"free", "inside"}
    assert len(names["tables"]["rates"])


def test_public_names_are_listed_and_load():
    for name in cic.__all__:
        assert getattr(cic, name) is not None
    assert set(cic.__all__) <= set(dir(cic))
