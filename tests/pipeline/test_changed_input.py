"""A recording that changed is seen, whatever it is stored in; copying, moving or touching it runs nothing again."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from cicimage.batch import open_batch, run_batch
from cicimage.batch.plan import plan
from cicimage.errors import RecordingError
from cicimage.experiment import load_experiment
from cicimage.guard import guarded
from cicimage.pipeline.input_record import Hashing, compare, looks_unchanged, observe, read_record, with_hashes
from cicimage.store import PositionFolder, read_table
from tests.conftest import draw_movie

CHANNELS = '<Channel ID="Channel:0:0" Name="Host"/><Channel ID="Channel:0:1" Name="Guest"/>'
POSITIONS = {"one file": "v/A1_f1", "two files": "v/A2_f1", "zarr": "v/A3_f1"}


def ome(movie, placed):
    t, c, y, x = movie.shape
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{x}" SizeY="{y}" '
        f'SizeZ="1" SizeC="{c}" SizeT="{t}" PhysicalSizeX="1" PhysicalSizeY="1" TimeIncrement="300">{CHANNELS}{placed}'
        "</Pixels></Image></OME>"
    )


def write_two_files(folder, movie):
    """OME-TIFF of which the later frames lie in a file that no pattern finds."""
    half = len(movie) // 2
    names = ("A2_f1.ome.tif", "A2_part2.dat")
    placed = "".join(
        f'<TiffData FirstT="{i * half}" IFD="0" PlaneCount="{2 * half}"><UUID FileName="{n}">urn:{i}</UUID></TiffData>'
        for i, n in enumerate(names)
    )
    for i, name in enumerate(names):
        pages = movie[i * half : (i + 1) * half].reshape(-1, *movie.shape[2:])
        with tifffile.TiffWriter(folder / name) as file:
            for k, page in enumerate(pages):
                text = ome(movie, placed) if i == k == 0 else None
                file.write(page, photometric="minisblack", metadata=None, description=text, contiguous=False)


def write_zarr(folder, movie):
    group = zarr.open_group(folder / "A3_f1.ome.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=movie.shape, chunks=(1, 1, *movie.shape[2:]), dtype="u2", compressors=None)[:] = movie
    scale = {"type": "scale", "scale": [300, 1, 1, 1]}
    kinds = {
        "t": ("time", "second"),
        "c": ("channel", None),
        "y": ("space", "micrometer"),
        "x": ("space", "micrometer"),
    }
    axes = [{"name": n, "type": k} | ({"unit": u} if u else {}) for n, (k, u) in kinds.items()]
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": "Host"}, {"label": "Guest"}]}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """Recordings in three containers, and their results; nobody writes to them."""
    root = tmp_path_factory.mktemp("analysed")
    folder = root / "in" / "v"
    folder.mkdir(parents=True)
    movie = draw_movie([(60, 60, 40)], [(50, 50, 4)], frames=4)[:, :2]
    wide = np.pad(
        movie, ((0, 0), (0, 0), (0, 680), (0, 680)), mode="reflect"
    )  # over 8 MiB: not hashed as a whole before
    with tifffile.TiffWriter(folder / "A1_f1.ome.tif") as file:
        for k, page in enumerate(wide.reshape(-1, *wide.shape[2:])):
            text = ome(wide, '<TiffData IFD="0" PlaneCount="8"/>') if k == 0 else None
            file.write(page, photometric="minisblack", metadata=None, description=text, contiguous=False)
    write_two_files(folder, movie)
    write_zarr(folder, movie)
    (root / "in" / "experiment.toml").write_text('[experiment]\nname = "x"\n')
    batch = open_batch(load_experiment(root / "in"), root / "out")
    outcome = run_batch(batch, workers=2)
    assert (outcome.exit_code, len(outcome.done)) == (0, 3), outcome.reasons
    return root


@pytest.fixture
def lab(analysed, tmp_path):
    """A copy of the recordings and results to be changed, times kept."""
    shutil.copytree(analysed, tmp_path / "lab")
    return tmp_path / "lab"


def again(lab, **options):
    """Reasons to run positions again."""
    batch = open_batch(load_experiment(lab / "in"), lab / "out", write=False)
    with guarded():
        return dict(plan(batch, **options).why)


def overwrite(path, old, new, keep_time):
    """Change pixels in place: same size, and with ``keep_time`` the same time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    at = data.find(old, len(data) // 4)
    assert at > 0
    data[at : at + len(new)] = new
    path.write_bytes(data)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if keep_time else 1_000_000_000)))


def a_plane_part(path):
    """Bytes in the middle of a plane beyond what head, middle and tail of a file show."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[len(file.pages) // 2 - 1]
        return path.read_bytes()[page.dataoffsets[0] + 1000 :][:64]


def change(lab, container, keep_time):
    folder = lab / "in" / "v"
    path = {
        "one file": folder / "A1_f1.ome.tif",
        "two files": folder / "A2_part2.dat",
        "zarr": next(p for p in sorted((folder / "A3_f1.ome.zarr" / "0").rglob("*")) if p.stat().st_size > 20_000),
    }[container]
    old = a_plane_part(path) if path.suffix != "" and container != "zarr" else path.read_bytes()[9000:9064]
    overwrite(path, old, bytes(len(old)), keep_time)


def test_nothing_changed_runs_nothing_and_opens_nothing(lab, monkeypatch):
    monkeypatch.setattr("cicimage.guard._Guard.ask", lambda *_: pytest.fail("a recording is opened"))
    assert again(lab) == {}


@pytest.mark.parametrize("container", POSITIONS)
def test_a_change_in_place_is_seen_by_its_time(lab, container):
    change(lab, container, keep_time=False)
    assert again(lab) == {POSITIONS[container]: "the recording changed"}


@pytest.mark.parametrize("container", POSITIONS)
def test_a_change_with_its_time_put_back_is_found_by_verify(lab, container):
    change(lab, container, keep_time=True)
    assert again(lab) == {}
    assert again(lab, verify=True) == {POSITIONS[container]: "the recording changed"}


def test_touched_copied_and_moved_recordings_are_the_same(lab, tmp_path):
    for file in (lab / "in").rglob("*"):
        os.utime(file)
    assert again(lab) == {}
    assert again(lab, verify=True) == {}
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(lab / "in", tmp_path / "elsewhere" / "in", copy_function=shutil.copy)  # copies get times of now
    shutil.move(lab / "out", tmp_path / "elsewhere" / "out")
    assert again(tmp_path / "elsewhere") == {}


def test_times_seen_anew_are_noted_so_that_bytes_are_compared_once(lab, monkeypatch):
    for file in (lab / "in").rglob("*"):
        os.utime(file)
    again(lab)
    monkeypatch.setattr("cicimage.guard._Guard.ask", lambda *_: pytest.fail("a recording is opened"))
    assert again(lab) == {}


def test_a_chunk_that_is_gone_or_new_is_seen(lab):
    chunk = max((lab / "in" / "v" / "A3_f1.ome.zarr" / "0").rglob("*"), key=lambda p: (p.stat().st_size, str(p)))
    kept = chunk.read_bytes()
    chunk.unlink()
    assert again(lab) == {"v/A3_f1": "the recording changed"}
    chunk.write_bytes(kept)
    assert again(lab) == {}
    (chunk.parent / "9.9.9.9").write_bytes(kept)
    assert again(lab) == {"v/A3_f1": "the recording changed"}


def test_a_changed_recording_is_analysed_anew_and_then_up_to_date(lab, capsys):
    from cicimage.cli import main

    path = lab / "in" / "v" / "A1_f1.ome.tif"
    with tifffile.TiffFile(path) as file:
        offsets = [page.dataoffsets[0] for page in file.pages]
    time_before, data = path.stat().st_mtime_ns, bytearray(path.read_bytes())
    for offset in offsets[1::2]:
        plane = np.frombuffer(data[offset : offset + 800 * 800 * 2], np.uint16).reshape(800, 800)
        data[offset : offset + 800 * 800 * 2] = np.roll(plane, 7, axis=0).tobytes()  # all guests lie 7 um further down
    path.write_bytes(data)
    os.utime(path, ns=(time_before, time_before))
    folder = next(p for p in (lab / "out" / "positions").iterdir() if "A1" in (p / "input.json").read_text())
    before = highest_guest(folder)
    arguments = ["run", str(lab / "in"), "-o", str(lab / "out"), "--no-report", "--verify", "--workers", "1"]
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    said = capsys.readouterr().err
    assert "the hashes of 3 positions were compared" in said
    assert "1 position (v/A1_f1) is run again: the recording changed" in said
    assert highest_guest(folder) == pytest.approx(before + 7, abs=0.5)
    assert again(lab, verify=True) == {}


def highest_guest(folder):
    cells = read_table(folder / "cells.parquet")
    return cells.loc[(cells["population"] == "guest") & (cells["frame"] == 0), "y_um"].min()


def test_an_interrupted_run_keeps_no_stage_of_another_recording(lab):
    folder = next(p for p in (lab / "out" / "positions").iterdir() if "A2" in (p / "input.json").read_text())
    (folder / "receipt.json").unlink()  # as after a kill
    change(lab, "two files", keep_time=False)
    batch = open_batch(load_experiment(lab / "in"), lab / "out")
    assert run_batch(batch, workers=1).failed == ()
    log = (folder / "log.jsonl").read_text()
    assert log.count('"detect"') == 2


def test_results_without_hashes_stay_valid_and_get_them_by_verify(lab):
    inputs = sorted((lab / "out" / "positions").glob("*/input.json"))
    for path in inputs:
        path.unlink()
    assert again(lab) == {}
    assert not any(path.exists() for path in inputs)
    assert again(lab, verify=True) == {}
    assert all(read_record(PositionFolder(path.parent)).hashed for path in inputs)


def test_a_file_written_to_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(1000))
    listed = observe(path, [path], None)
    path.write_bytes(bytes(1001))
    with pytest.raises(RecordingError, match="must not change while it is analysed, and was written to meanwhile"):
        with_hashes(listed, path)
    with pytest.raises(RecordingError, match="must not change while it is analysed"):
        Hashing(listed, path).finish(lambda *_: None)


def test_hashing_tells_how_far_it_is_and_gives_what_sha256sum_gives(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"abc")
    told = []
    found = with_hashes(observe(path, [path], None), path, told.append)
    assert told == [3]
    assert (
        found.content == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, example B.1


def test_a_member_that_became_a_pipe_or_is_gone_is_another_input(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"abc")
    record = with_hashes(observe(path, [path], None), path)
    assert looks_unchanged(record, path)
    path.unlink()
    assert not looks_unchanged(record, path)
    os.mkfifo(path)
    assert not looks_unchanged(record, path)
    with pytest.raises(RecordingError, match="must be a regular file"):
        observe(path, [path], None)


def test_a_plane_of_a_pattern_counts_and_so_does_one_that_is_added(tmp_path):
    planes = [tmp_path / f"A1_t{t}.tif" for t in range(3)]
    for k, plane in enumerate(planes):
        plane.write_bytes(bytes([k]) * 10)
    path = tmp_path / "A1_t{t}.tif"
    record = with_hashes(observe(path, planes, None), path)
    assert looks_unchanged(record, path)
    (tmp_path / "A1_t3.tif").write_bytes(b"x")
    assert not looks_unchanged(record, path)
    assert compare(record, observe(path, planes, None), path) is not None  # a file of somebody else beside it
    assert compare(record, observe(path, [*planes, tmp_path / "A1_t3.tif"], None), path) is None
    time.sleep(0.01)
    planes[1].write_bytes(b"y" * 10)
    assert compare(record, observe(path, planes, None), path) is None


def test_a_damaged_record_is_no_record(lab):
    folder = PositionFolder(next((lab / "out" / "positions").iterdir()))
    for text in (
        "{",
        "[]",
        '{"schema_version": 1}',
        '{"schema_version": 1, "identity": {}, "members": [[1]], "folders": []}',
    ):
        folder.input.write_text(text)
        assert read_record(folder) is None
    assert Path(folder.input).exists()
