"""Input that is odd but legal gives a valid, explained result; input that is broken gives one sentence."""

import numpy as np
import pandas as pd
import pytest

from cicimage.cli import main
from cicimage.store import Results, read_json, read_table
from tests.conftest import draw_movie, write_movie

HOST = [(60, 60, 40)]
GUESTS = [(50, 50, 4), (75, 70, 4), (15, 100, 4)]


def run(*args):
    with pytest.raises(SystemExit) as done:
        main(["run", *map(str, args), "--workers", "1"])
    return done.value.code


def experiment(root, *lines):
    (root / "experiment.toml").write_text(
        '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n' + "\n".join(lines), encoding="utf-8"
    )
    return root


def tables(out):
    return {n: pd.read_parquet(out / f"{n}.parquet") for n in ("events", "guests", "hosts", "rates", "frames")}


@pytest.mark.parametrize(
    ("name", "movie"),
    [
        ("no guests", draw_movie(HOST, [])),
        ("no hosts", draw_movie([], GUESTS)),
        ("one frame", draw_movie(HOST, GUESTS, frames=1)),
        ("one cell", draw_movie([], GUESTS[:1])),
        ("an empty field", draw_movie([], [])),
        ("all guests dead from the start", draw_movie(HOST, GUESTS, dead=(0, 1, 2))),
    ],
)
def test_an_odd_recording_gives_a_valid_result(tmp_path, name, movie):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in")
    write_movie(root / "vehicle" / "A1_f1.ome.tif", movie)
    out = tmp_path / "out"
    assert run(root, "-o", out) == 0
    found = tables(out)
    assert (out / "report.html").stat().st_size > 5_000
    rates = found["rates"].set_index("estimand")
    assert rates.loc["entry_rate_per_guest_h", "events"] == 0
    if name in {"no guests", "an empty field"}:
        assert len(found["guests"]) == 0
        assert rates.loc["entry_rate_per_guest_h", "exposure_h"] == 0
    if name == "one cell":
        assert len(found["guests"]) == 1
    if name == "no hosts":
        assert set(found["frames"]["location"]) == {"unresolved"}
        assert "No host stands out of the background" in (out / "report.html").read_text(encoding="utf-8")
    if name == "all guests dead from the start":
        assert set(found["frames"]["viability"]) == {"dead"}
        assert rates.loc["entry_rate_per_guest_h", "exposure_h"] == 0


def test_a_broken_file_is_named_and_the_others_go_on(tmp_path, capfd):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in")
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS))
    whole = write_movie(root / "vehicle" / "A2_f1.ome.tif", draw_movie(HOST, GUESTS))
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (root / "vehicle" / "A3_f1.tif").write_bytes(b"")
    out = tmp_path / "out"
    assert run(root, "-o", out) == 3
    said = capfd.readouterr().err
    assert "vehicle/A2_f1 failed: " in said
    assert "ends at byte" in said
    assert "vehicle/A3_f1 failed: " in said
    assert "empty (0 bytes)" in said
    page = (out / "report.html").read_text()
    assert "A2_f1" in page
    assert "ends at byte" in page
    assert set(pd.read_parquet(out / "guests.parquet")["position"]) == {"vehicle/A1_f1"}


def test_nothing_readable_at_all_is_exit_4(tmp_path):
    (tmp_path / "in" / "vehicle").mkdir(parents=True)
    (tmp_path / "in" / "vehicle" / "A1_f1.tif").write_bytes(b"not a tiff at all")
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 4


@pytest.mark.parametrize(
    ("toml", "changes", "sentence"),
    [
        ("[optics]\num_per_px = 0.5", {}, "the experiment file says 0.5 um and the recording 1 um"),
        ("", {"um": None}, "um_per_px must be known, neither the recording nor the experiment file says it"),
        ("", {"interval_s": None}, "frame_interval_s must be known"),
        ("[optics]\nframe_interval_s = 60", {}, "says 60 s and the recording 300 s"),
        (
            "",
            {"names": ("Red", "Guest", "Death")},
            "channel 'Host' for host is not there, the recording has 0: Red, 1: Guest",
        ),
    ],
)
def test_a_gap_or_a_conflict_shows_both_values(tmp_path, capfd, toml, changes, sentence):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in", toml)
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=3), **changes)
    assert run(root, "-o", tmp_path / "out") == 4
    assert sentence in capfd.readouterr().err


def test_the_experiment_file_can_be_declared_right(tmp_path):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in", "[optics]\num_per_px = 1.2\noverride_metadata = true")
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=3))
    out = tmp_path / "out"
    assert run(root, "-o", out) == 0
    (receipt,) = out.glob("positions/*/receipt.json")
    assert read_json(receipt)["recording"]["um_per_px"] == 1.2


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["run", "x", "-o", "y", "--worker", "2"], "--workers"),
        (["rum"], "did you mean 'run'"),
        (["run", "missing", "-o", "y"], "no such file or folder"),
        (["run", "missing"], "-o"),
    ],
)
def test_wrong_usage_is_exit_2_and_names_the_nearest(capfd, args, sentence):
    with pytest.raises(SystemExit) as done:
        main(args)
    assert done.value.code == 2
    assert sentence in capfd.readouterr().err


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        ('method = "hysteresys"', "method 'hysteresys' is not installed; did you mean 'hysteresis'?"),
        ('method = "hysteresis", persistance_min = 3', "has no option 'persistance_min'; did you mean"),
    ],
)
@pytest.mark.parametrize("command", [["run", "{root}", "-o", "{out}"], ["check", "{root}"]])
def test_a_slip_in_methods_is_said_once_before_anything_runs(tmp_path, capfd, score, sentence, command):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in", f"[methods]\nscore = {{ {score} }}")
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    with pytest.raises(SystemExit) as done:
        main([a.format(root=root, out=tmp_path / "out") for a in command])
    assert done.value.code == 2
    assert capfd.readouterr().err.count(sentence) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ['{"schema_version": 99, "positions": {"v/A": "p0001"}}', "[]", '{"positions": 3}'])
@pytest.mark.parametrize("command", ["run", "status", "report"])
def test_results_of_another_version_are_never_misread(tmp_path, capfd, content, command):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in")
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text(content)
    with pytest.raises(SystemExit) as done:
        main(["run", str(root), "-o", str(out)] if command == "run" else [command, str(out)])
    assert done.value.code == 5
    assert "schema_version must be 1" in capfd.readouterr().err


def test_a_results_folder_of_other_recordings_is_exit_5(tmp_path, capfd):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_movie(experiment(tmp_path / name) / f"{name}" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    out = tmp_path / "out"
    assert run(tmp_path / "a", "-o", out) == 0
    assert run(tmp_path / "b", "-o", out) == 5
    assert "belongs to other recordings (such as 'a/A1_f1', not 'b/A1_f1')" in capfd.readouterr().err
    (tmp_path / "a2").mkdir()
    other = experiment(tmp_path / "a2")
    write_movie(other / "a" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=3))
    assert run(other, "-o", out) == 5, "other recordings under the same names"
    assert "belongs to other recordings" in capfd.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    assert run(tmp_path / "a", "-o", tmp_path / "full") == 5
    assert "must be empty or hold results" in capfd.readouterr().err


def test_a_frame_that_cannot_be_decoded_is_missing_and_time_is_not_shifted(tmp_path):
    import tifffile

    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in")
    path = write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=6))
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[2 * 3 + 1].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(start + 20)
        file.write(b"\xff" * 40)
    out = tmp_path / "out"
    assert run(root, "-o", out) == 0
    key = Results(out).index()["vehicle/A1_f1"]
    receipt = read_json(Results(out).position(key).receipt)
    assert list(receipt["missing_frames"]) == ["2"]
    frames = read_table(out / "frames.parquet")
    gap = frames[frames["frame"] == 2]
    assert len(gap) == 3
    assert not gap["observed"].any()
    assert np.allclose(np.sort(frames["time_h"].unique()), np.arange(6) * 300 / 3600)


def test_a_stack_that_cannot_tell_depth_names_the_slice_that_can_be_judged_instead(tmp_path):
    (tmp_path / "in").mkdir()
    root = experiment(tmp_path / "in", "[optics]", 'modality = "widefield"')
    flat = draw_movie(HOST, GUESTS).astype(np.float64)
    stack = np.stack([100 + (flat - 100) * share for share in (0.3, 1.0, 0.5)], axis=2).clip(0).astype(np.uint16)
    write_movie(root / "a" / "A1_f1.ome.tif", stack, um_z=4.0)
    assert run(root, "-o", tmp_path / "stack") == 0
    key = read_json(tmp_path / "stack" / "run.json")["positions"]["a/A1_f1"]
    said = " ".join(read_json(Results(tmp_path / "stack").position(key).root / "optics.json")["sentences"])
    assert "A focus step of 4.0 um skips cap and floor" in said
    assert "set files.slice = 1 and run again" in said
    assert set(tables(tmp_path / "stack")["frames"]["location"]) == {"unresolved"}

    experiment(root, "[files]", "slice = 1", "[optics]", 'modality = "widefield"')
    assert run(root, "-o", tmp_path / "slice") == 0
    frames = tables(tmp_path / "slice")["frames"]
    assert len(frames)
    assert frames["z_um"].isna().all()
    assert not (frames["location"] == "unresolved").all()
