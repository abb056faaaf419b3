"""Folders as microscopes leave them become positions: plates, scenes, files of one plane each; and what is left."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from cicimage.errors import ConfigurationError
from cicimage.experiment import load_experiment
from cicimage.experiment.plate_map import read_plate_map
from cicimage.recording import open_recording, recording_files
from tests.conftest import draw_movie, write_movie
from tests.recording.tiff_maker import numbered

ALL = '[files]\nseries = "all"\npattern = "{pattern}"\n{more}'


def image(path, movie):
    """An OME-Zarr image of version 0.4."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=movie, chunks=(1, 1, 1, *movie.shape[-2:]))
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [300.0, 1, 1, 1, 1]}]}
    channels = [{"label": n} for n in ("Host", "Guest")]
    group.attrs.update({"multiscales": [{"axes": axes, "datasets": [scale]}], "omero": {"channels": channels}})


def plate(path, wells, fields=2, make=lambda k: numbered() + k):
    """An OME-Zarr plate."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    for i, well in enumerate(wells):
        row, column = well[0], str(int(well[1:]))
        group = root.require_group(row).require_group(column)
        for f in range(fields):
            image(path / row / column / str(f), make(fields * i + f))
        group.attrs.update({"well": {"images": [{"path": str(f)} for f in range(fields)]}})
    root.attrs.update({"plate": {"wells": [{"path": f"{w[0]}/{int(w[1:])}"} for w in wells]}})
    return path


def settings(root, pattern, more=""):
    (root / "experiment.toml").write_text(ALL.format(pattern=pattern, more=more), encoding="utf-8")
    return load_experiment(root)


def test_wells_and_fields_of_a_plate_are_positions(tmp_path):
    plate(tmp_path / "p1.ome.zarr", ["B02", "C03"])
    found = settings(tmp_path, "{plate}/{well}_f{field}").positions
    assert [(p.position, p.series, p.plate, p.replicate) for p in found] == [
        ("p1/B02_f0", 0, "p1", "B02"), ("p1/B02_f1", 1, "p1", "B02"),
        ("p1/C03_f0", 2, "p1", "C03"), ("p1/C03_f1", 3, "p1", "C03"),
    ]  # fmt: skip
    with open_recording(found[2].path, series=found[2].series) as recording:
        assert np.array_equal(recording.frame(0), numbered()[0] + 2)
    assert recording_files(found[2].path, 2) == (tmp_path / "p1.ome.zarr" / "C" / "3" / "0",)


def test_two_plates_may_have_wells_of_one_name(tmp_path):
    for name in ("p1", "p2"):
        plate(tmp_path / "vehicle" / f"{name}.zarr", ["B02"], fields=1)
    found = settings(tmp_path, "{condition}/{plate}/{well}_f{field}").positions
    assert [p.position for p in found] == ["vehicle/p1/B02_f0", "vehicle/p2/B02_f0"]
    assert {p.condition for p in found} == {"vehicle"}


MAP = "plate,1,2,3\nA,,,\nB,,vehicle,BTKi\nC,,,+AMD3100\n"


def test_a_plate_map_brings_conditions(tmp_path):
    plate(tmp_path / "p1.zarr", ["B02", "B03", "C03"], fields=1)
    (tmp_path / "map.csv").write_text(MAP, encoding="utf-8")
    loaded = settings(tmp_path, "{plate}/{well}_f{field}", 'plate_map = "map.csv"\n')
    assert [p.condition for p in loaded.positions] == ["vehicle", "BTKi", "+AMD3100"]
    (tmp_path / "map.csv").write_text(MAP.replace(",", ";"), encoding="utf-8-sig")
    assert read_plate_map(tmp_path / "map.csv") == {"B02": "vehicle", "B03": "BTKi", "C03": "+AMD3100"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (MAP.replace("+AMD3100", ""), "must name a condition for every well with recordings, has none for C03"),
        ("well,condition\nB02,vehicle\n", "must have the plate's columns 1, 2, ... in its first row, has condition"),
        (MAP.replace("B,", "B row,"), "each row must start with its letter"),
        (MAP.replace("BTKi", "BTKi,dose"), "each row must start with its letter and have a cell"),
        ("", "has nothing"),
    ],
)
def test_a_plate_map_that_does_not_fit_is_said(tmp_path, text, sentence):
    plate(tmp_path / "p1.zarr", ["B02", "B03", "C03"], fields=1)
    (tmp_path / "map.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=sentence):
        settings(tmp_path, "{plate}/{well}_f{field}", 'plate_map = "map.csv"\n')


def test_a_plate_map_that_is_not_there_is_said(tmp_path):
    plate(tmp_path / "p1.zarr", ["B02"])
    with pytest.raises(ConfigurationError, match="cannot be read .*mend files.plate_map"):
        settings(tmp_path, "{plate}/{well}_f{field}", 'plate_map = "map.csv"\n')


def test_a_broken_file_is_one_position_whose_run_will_say_why(tmp_path):
    plate(tmp_path / "p1.zarr", ["B02"])
    (tmp_path / "p2.lif").write_bytes(b"")
    found = settings(tmp_path, "{well}").positions
    assert [(p.position, p.series) for p in found] == [("p2", None)]


def test_files_of_one_plane_each_are_one_recording(tmp_path):
    movie = numbered(t=3, z=1)
    for condition in ("vehicle", "BTKi"):
        for t, c in np.ndindex(3, 2):
            path = tmp_path / condition / f"{['green', 'red'][c]}_B2_1_00d{t:02d}h30m.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, movie[t, c, 0], photometric="minisblack", metadata=None)
    text = '[files]\npattern = "{condition}/{channel}_{well}_{field}_{day}d{hour}h{minute}m"\n'
    (tmp_path / "experiment.toml").write_text(text)
    found = load_experiment(tmp_path).positions
    assert [(p.position, p.condition, p.replicate) for p in found] == [
        ("BTKi/B2_f1", "BTKi", "B2"), ("vehicle/B2_f1", "vehicle", "B2"),
    ]  # fmt: skip
    assert len(recording_files(found[0].path)) == 6
    (tmp_path / "experiment.toml").write_text(text.replace("{well}", "{wall}"))
    with pytest.raises(ConfigurationError, match="files.pattern: .*placeholder {wall}"):
        load_experiment(tmp_path)


def test_files_of_a_metamorph_series_are_one_recording_and_strays_are_named(tmp_path):
    for name in ("exp_w1Host_t1.stk", "exp_w1Host_t2.TIF", "two.stk", "other_w1_t1.stk", "alone_f1.tif"):
        (tmp_path / "v").mkdir(exist_ok=True)
        (tmp_path / "v" / name).touch()
    for name in ("exp", "two"):
        (tmp_path / "v" / f"{name}.nd").write_text('"NDInfoFile", Version 1.0\n')
    loaded = load_experiment(tmp_path)
    assert [p.path.name for p in loaded.positions] == ["alone_f1.tif", "exp.nd", "two.nd"]
    assert len(loaded.unread) == 1
    assert "1 file or folder of a kind that is no recording (v/other_w1_t1.stk)" in loaded.unread[0]


# ---------------------------------------------------------------- what is left over


def test_what_is_not_read_is_said_and_why(tmp_path):
    for name in ("a/w1_f1.tif", "a/deep/er/w2_f1.tif", "top_f1.tif", "a/movie.avi", "a/w9.vsi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    outside = tmp_path.parent / f"{tmp_path.name}_outside"
    outside.mkdir()
    (outside / "w5_f1.tif").touch()
    (tmp_path / "b").symlink_to(outside)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    loaded = load_experiment(tmp_path)
    assert [p.position for p in loaded.positions] == ["a/w1_f1"]
    said = "\n".join(loaded.unread)
    assert "2 recordings that do not fit '{condition}/{well}_f{field}' (a/deep/er/w2_f1, top_f1)" in said
    assert "2 files and folders of a kind that is no recording (a/movie.avi, a/w9.vsi)" in said
    assert "2 links to another folder (a/loop, b)" in said


def test_results_and_exports_within_the_folder_are_no_recordings(tmp_path):
    write_movie(tmp_path / "a" / "w1_f1.ome.tif", np.zeros((2, 3, 8, 8), np.uint16))
    shutil.copytree(tmp_path / "a", tmp_path / "out" / "ctc")
    (tmp_path / "out" / "positions").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    loaded = load_experiment(tmp_path)
    assert [p.position for p in loaded.positions] == ["a/w1_f1"]
    assert loaded.unread == ()


@pytest.mark.parametrize(("first", "second"), [("a.tif", "a.ome.tif"), ("é.tif", "e\u0301.tif"), ("a.tif", "a.zarr")])
def test_twins_by_ending_or_by_accents_are_refused(tmp_path, first, second):
    for name in (first, second):
        path = tmp_path / "v" / name
        path.mkdir(parents=True) if name.endswith("zarr") else (path.parent.mkdir(exist_ok=True), path.touch())
    with pytest.raises(ConfigurationError, match="two recordings are one position"):
        load_experiment(tmp_path)


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    """Else its condition would be missing without a word."""
    for condition in ("vehicle", "BTKi"):
        write_movie(tmp_path / condition / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=16))
    closed, scandir = tmp_path / "BTKi", os.scandir

    def refuse(path):
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(closed))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    loaded = load_experiment(tmp_path)
    assert [p.position for p in loaded.positions] == ["vehicle/A1_f1"]
    assert loaded.unread == (
        "not read: 1 folder that cannot be listed (BTKi: Permission denied); ask for the right to read them, or take "
        "them out of the folder",
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no path that long")
def test_a_folder_nested_too_deep_leaves_the_others_alone(tmp_path):
    root = tmp_path / "in"
    write_movie(root / "vehicle" / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=16))
    descriptors = [os.open(root, os.O_RDONLY)]
    for _ in range(220):
        os.mkdir("d" * 20, dir_fd=descriptors[-1])
        descriptors.append(os.open("d" * 20, os.O_RDONLY, dir_fd=descriptors[-1]))
    loaded = load_experiment(root)
    for descriptor, above in zip(reversed(descriptors[1:]), reversed(descriptors[:-1]), strict=True):
        os.close(descriptor)
        os.rmdir("d" * 20, dir_fd=above)
    os.close(descriptors[0])
    assert [p.position for p in loaded.positions] == ["vehicle/A1_f1"]
    (said,) = loaded.unread
    assert "not read: 1 folder that cannot be listed (ddddd" in said
    assert "...: File name too long)" in said
