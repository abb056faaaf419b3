"""`cicimage init` on folders as microscopes leave them; then check, run and review find the same recordings."""

import csv
import tomllib
from contextlib import closing

import numpy as np
import pytest
import tifffile

from cicimage.cli import main
from cicimage.review.base import load_base
from cicimage.review.footage import open_footage
from cicimage.store import Results, read_json, read_table
from tests.conftest import draw_movie
from tests.experiment.test_discovery import image, plate


def call(*args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code


def proposed(out):
    with (out / "experiment.toml").open("rb") as file:
        toml = tomllib.load(file)
    with (out / "layout.csv").open(newline="") as file:
        return toml, list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("folder", "pattern", "positions", "um_per_px", "channels"),
    [
        ("operetta_leukemia/operetta_plate", "{well}_f{field}", ["C03_f1", "C03_f2"], 1.1959, ["Fluorescein (FITC)"]),
        (
            "metamorph_imagexpress/imagexpress/1well-3C-2S-Zmix-T/2024-04-22", "{plate}/{well}_f{field}",
            ["1697/C07_f1", "1697/C07_f2"], 13.5504, ["FITC", "Cy3", "Texas Red"],
        ),
        (
            "metamorph_imagexpress/metamorph_nd/data", "{well}/{field}",
            ["sample_3ch_2pos_mixed-z/Position1", "sample_3ch_2pos_mixed-z/Position2"], None, None,
        ),
        ("czi_permissive", "{well}/{field}", ["xyz__multiple_images/scene 1", "xyz__multiple_images/scene 2"], 0.1956,
         ["ChA"]),
        ("lif_readlif", "{condition}/{well}/{field}", [f"xz-example/xz-example/{n}" for n in ("xzt", "xzy", "xz")],
         None, None),
        ("usiigaci_T98G_timelapse", "{condition}/{any}xy{field}t{t}", ["raw/f01"], None, None),
        ("nd2_arcadia", "{well}_f{field}", ["example-cerevisiae", "example-multichannel"], 0.1083, ["DIC", "FITC BP"]),
    ],
)  # fmt: skip
def test_real_folders(real_data, tmp_path, folder, pattern, positions, um_per_px, channels):
    assert call("init", real_data / folder, "-o", tmp_path / "experiment.toml") == 0
    toml, rows = proposed(tmp_path)
    assert toml["files"]["pattern"] == pattern
    found = [r["position"] for r in rows]
    assert set(positions) <= set(found)
    text = (tmp_path / "experiment.toml").read_text()
    if um_per_px is not None:
        assert f"# um_per_px = {um_per_px}"[:17] in text
    if channels is not None:
        assert "# channels: " + ", ".join(f"{i}: {n}" for i, n in enumerate(channels)) in text


def test_a_real_plate_is_checked_as_proposed(real_data, tmp_path, capfd):
    folder = real_data / "metamorph_imagexpress/imagexpress/1well-3C-2S-Zmix-T/2024-04-22"
    assert call("init", folder, "-o", tmp_path / "experiment.toml") == 0
    assert "conditions are unknown: fill in column condition of layout.csv" in capfd.readouterr().out
    assert call("check", tmp_path) == 0
    said = capfd.readouterr().out
    assert "1697/C07_f1: T2 C3 Y256 X256, 13.5504 um/px, 2D" in said
    assert "1697/C07_f2: T2 C3 Y256 X256" in said


def small(seed):
    """A (T, C, Z, Y, X) movie."""
    return draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=3, size=64, seed=seed)[:, :2, None]


def test_a_plate_from_init_to_results_and_only_the_changed_well_again(tmp_path, capfd):
    root, out = tmp_path / "screen", tmp_path / "out"
    root.mkdir()
    plate(root / "p1.zarr", ["B02", "B03"], fields=1, make=small)
    assert call("init", root) == 0
    toml, rows = proposed(root)
    assert toml["files"] == {"root": ".", "pattern": "{plate}/{well}_f{field}", "series": "all"}
    assert [(r["position"], r["condition"], r["plate"]) for r in rows] == [
        ("p1/B02_f0", "", "p1"), ("p1/B03_f0", "", "p1"),
    ]  # fmt: skip
    (root / "map.csv").write_text("p,2,3\nB,vehicle,BTKi\n")
    text = (root / "experiment.toml").read_text()
    (root / "experiment.toml").write_text(text.replace('# plate_map = "platemap.csv"', 'plate_map = "map.csv"'))
    assert call("run", root, "-o", out, "--workers", "1") == 0
    guests = read_table(out / "guests.parquet")
    assert guests.groupby("position")["condition"].first().to_dict() == {"p1/B02_f0": "vehicle", "p1/B03_f0": "BTKi"}
    key = read_json(out / "run.json")["positions"]["p1/B03_f0"]
    before = read_json(Results(out).position(key).receipt)["input"]
    with closing(open_footage(Results(out), load_base(Results(out), "p1/B03_f0"))) as footage:
        assert np.array_equal(footage.recording.frame(1), small(1)[1]), "the review shows this well and no other"
    image(root / "p1.zarr" / "B" / "3" / "0", np.concatenate([small(5), small(6)]))
    capfd.readouterr()
    assert call("run", root, "-o", out, "--workers", "1") == 0
    said = capfd.readouterr().err
    assert "1 position (p1/B03_f0) is run again" in said
    assert read_json(Results(out).position(key).receipt)["input"] != before


def test_files_of_one_plane_each_are_proposed_and_run(tmp_path, capfd):
    root = tmp_path / "in"
    movie = small(1)
    for t, c in np.ndindex(3, 2):
        path = root / "vehicle" / f"{['Host', 'Guest'][c]}_B2_1_00d{t:02d}h00m.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, movie[t, c, 0], photometric="minisblack", metadata=None)
    assert call("init", root) == 0
    toml, rows = proposed(root)
    assert toml["files"]["pattern"] == "{condition}/{channel}_{well}_{field}_{day}d{hour}h{minute}m"
    assert [(r["position"], r["condition"]) for r in rows] == [("vehicle/B2_f1", "vehicle")]
    text = (root / "experiment.toml").read_text()
    assert 'host = "Host"  # guessed' in text
    assert "# frame_interval_s = 3600.0  # the recordings say so" in text
    (root / "experiment.toml").write_text(text.replace("# um_per_px =   # unknown: um", "um_per_px = 1.0"))
    assert call("run", root, "-o", tmp_path / "out", "--workers", "1") == 0
    frames = read_table(tmp_path / "out" / "frames.parquet")
    assert sorted(frames["time_h"].unique()) == [0, 1, 2]
    assert call("run", root, "-o", tmp_path / "out", "--workers", "1") == 0
    assert "run again" not in capfd.readouterr().err


def test_init_says_which_files_are_one_position_and_which_are_not_read(tmp_path, capfd):
    for name in ("a/w1_f1.tif", "a/w1_f1.ome.tif", "a/w2_f1.tif", "a/deep/w3_f1.tif", "a/w4.vsi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert call("init", tmp_path) == 0
    said = capfd.readouterr().out
    assert "warning: two recordings are one position 'a/w1_f1'" in said
    assert "warning: not read: 1 recording that does not fit '{condition}/{well}_f{field}' (a/deep/w3_f1)" in said
    assert "1 file or folder of a kind that is no recording (a/w4.vsi)" in said
    _, rows = proposed(tmp_path)
    assert [r["position"] for r in rows] == ["a/w1_f1", "a/w2_f1"]
