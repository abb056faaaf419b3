"""What `cicimage check` says of scales that no cell has, and of movies saved as something else."""

import json
import re

import numpy as np
import pytest
import tifffile
import zarr

from cicimage.cli import main
from cicimage.recording import open_recording
from tests.conftest import draw_movie, write_movie

MOVIE = draw_movie([(60, 60, 40)], [(50, 50, 4)], frames=4)[:, :2]


def check(folder, capsys, text=""):
    """Exit code, findings by code, and what is printed to stderr."""
    (folder / "experiment.toml").write_text("[channels]\nhost = 0\nguest = 1\n" + text)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(folder), "--json"])
    said = capsys.readouterr()
    return ended.value.code, {f["code"]: f for f in json.loads(said.out)}, said.err


@pytest.mark.parametrize(
    ("optics", "code"),
    [
        ({"um": 650.0}, "guest_smaller_than_pixels"),
        ({"um": 0.012}, "field_smaller_than_guest"),
        ({"interval_s": 0.3}, "interval_short"),
        ({"interval_s": 86_400.0}, "interval_long"),
    ],
)
def test_a_scale_in_the_wrong_unit_is_said_without_any_other_recording(tmp_path, capsys, optics, code):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", MOVIE, names=("Host", "Guest"), **optics)
    _, found, _ = check(tmp_path, capsys)
    assert code in found
    assert found[code]["field"] in ("optics.um_per_px", "optics.frame_interval_s")


def test_slices_a_guest_falls_between_are_said(tmp_path, capsys):
    stack = np.repeat(MOVIE[:, :, None], 3, axis=2)
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", stack, names=("Host", "Guest"), um_z=1500.0 / 100)
    _, found, _ = check(tmp_path, capsys)
    assert found["slices_far_apart"]["field"] == "optics.um_per_z"


@pytest.mark.parametrize("value", ["1e300", "1e-300", "1e8"])
@pytest.mark.parametrize("key", ["um_per_px", "frame_interval_s"])
def test_numbers_of_no_microscope_are_refused_with_the_range(tmp_path, capsys, key, value):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", MOVIE, names=("Host", "Guest"))
    code, _, err = check(tmp_path, capsys, f"[optics]\n{key} = {value}\noverride_metadata = true\n")
    assert code == 4
    assert re.search(rf"{key} must lie between [\d.e-]+ and [\d.e+]+ (um|s), the experiment file says", err)
    assert "fault of the program" not in err
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path), "-o", str(tmp_path / "out"), "--no-report"])
    assert "fault of the program" not in capsys.readouterr().err


def test_a_file_that_says_so_is_refused_with_the_line_that_overrules_it(tmp_path, capsys):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", MOVIE, um=1e300, names=("Host", "Guest"))
    _, _, err = check(tmp_path, capsys)
    assert "um_per_px must lie between 1e-05 and 10000 um, the recording says 1e+300 um" in err
    code, _, _ = check(tmp_path, capsys, "[optics]\num_per_px = 1.0\noverride_metadata = true\n")
    assert code == 0


def test_an_interval_is_overridden_where_the_file_has_a_clock(tmp_path, capsys):
    from tests.recording.tiff_maker import ome_xml, write_ome

    stack = MOVIE[:, :, None]
    clock = "<TiffData/>" + "".join(f'<Plane TheT="{t}" TheC="0" TheZ="0" DeltaT="{60 * t}"/>' for t in range(4))
    more = 'PhysicalSizeX="1" PhysicalSizeY="1" TimeIncrement="5" TimeIncrementUnit="min"'
    (tmp_path / "v").mkdir()
    write_ome(tmp_path / "v" / "A1_f1.ome.tif", stack, ome_xml(stack, more, clock))
    _, _, err = check(tmp_path, capsys)
    assert "TimeIncrement says 300 s between frames, DeltaT says 60 s; they must agree" in err
    (tmp_path / "experiment.toml").write_text(
        "[channels]\nhost = 0\nguest = 1\n[optics]\nframe_interval_s = 300\noverride_metadata = true\n"
    )
    with pytest.raises(SystemExit, match="0"):
        main(["check", str(tmp_path)])
    assert ", 5 min," in capsys.readouterr().out


def test_time_saved_as_slices_is_read_by_the_line_that_is_given(tmp_path, capsys):
    movie = np.repeat(MOVIE, 7, axis=0)  # 28 frames
    (tmp_path / "v").mkdir()
    tifffile.imwrite(
        tmp_path / "v" / "A1_f1.tif", movie, imagej=True, resolution=(1, 1),
        metadata={"axes": "ZCYX", "unit": "um", "spacing": 1.0},
    )  # fmt: skip
    _, found, _ = check(tmp_path, capsys)
    line = re.search(r"axes = \S+", found["one_frame"]["remedy"])[0]
    assert (line, found["one_frame"]["field"]) == ('axes = "TC2YX!"', "files.axes")
    code, found, err = check(tmp_path, capsys, f"[files]\n{line}\n[optics]\nframe_interval_s = 300\num_per_px = 1\n")
    assert code == 0, err
    assert "one_frame" not in found


STACKED = np.concatenate([MOVIE] * 7)  # 28 frames, two channels


def save_with_time_as_slices(folder, kind, stack):
    """The movie with its frames as slices: as ImageJ writes it, or with channels slowest or fastest; no focus step."""
    (folder / "v").mkdir()
    if kind == "imagej":
        options = {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "ZCYX", "unit": "um"}}
        return tifffile.imwrite(folder / "v" / "A1_f1.tif", stack, **options)
    form, axes = kind.split()
    planes = stack if axes == "ZCYX" else stack.transpose(1, 0, 2, 3)
    name = "A1_f1.ome.tif" if form == "ome" else "A1_f1.tif"
    return tifffile.imwrite(folder / "v" / name, planes, photometric="minisblack", metadata={"axes": axes})


@pytest.mark.parametrize("frames", [4, 28])
@pytest.mark.parametrize("kind", ["imagej", "ome ZCYX", "ome CZYX", "shaped ZCYX", "shaped CZYX"])
def test_the_line_for_time_saved_as_slices_reads_each_plane_where_it_belongs(tmp_path, capsys, kind, frames):
    save_with_time_as_slices(tmp_path, kind, STACKED[:frames])
    code, found, err = check(tmp_path, capsys, "[optics]\num_per_px = 1\n")
    assert code == 4
    assert "um_per_z must be known" in err  # and what it looks like is said all the same
    assert found["one_frame"]["field"] == "files.axes"
    looks = "looks like a movie of which time was saved as slices"
    assert (looks in found["one_frame"]["value"]) == (frames == 28)
    axes = re.search(r'axes = "(\S+)"', found["one_frame"]["remedy"])[1]
    path = next((tmp_path / "v").iterdir())
    with open_recording(path, axes=axes) as recording:
        assert (recording.sizes["T"], recording.sizes["C"], recording.sizes["Z"]) == (frames, 2, 1)
        read = [[recording.plane(t, c, 0) for c in range(2)] for t in range(frames)]
    assert np.array_equal(np.array(read), STACKED[:frames])
    text = f'[files]\naxes = "{axes}"\n[optics]\nframe_interval_s = 300\num_per_px = 1\n'
    code, found, err = check(tmp_path, capsys, text)
    assert code == 0, err
    assert "one_frame" not in found


def save_as_zarr(path, planes):
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("0", shape=planes.shape, dtype=planes.dtype, chunks=(1, 1, *planes.shape[2:]))[...] = planes
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = [{"type": "scale", "scale": [1, 1, 1, 1]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]


def test_axes_that_a_format_cannot_overrule_are_neither_advised_nor_passed_over(tmp_path, capsys):
    (tmp_path / "v").mkdir()
    save_as_zarr(tmp_path / "v" / "A1_f1.ome.zarr", STACKED.transpose(1, 0, 2, 3))
    _, found, _ = check(tmp_path, capsys)
    assert "save it with time as its frames" in found["one_frame"]["remedy"]
    assert "axes" not in found["one_frame"]["remedy"]
    code, _, err = check(tmp_path, capsys, '[files]\naxes = "CTYX!"\n')
    assert code == 4
    assert "axes 'CTYX!' must be without '!', those of OME-Zarr cannot be overruled" in err
    code, _, err = check(tmp_path, capsys, '[files]\naxes = "CZYX"\n')
    assert code == 0, err


def test_one_frame_alone_is_said(tmp_path, capsys):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", MOVIE[:1], names=("Host", "Guest"), interval_s=None)
    _, found, _ = check(tmp_path, capsys)
    assert found["one_frame"]["value"] == "1 frame cannot show that a cell enters, survives or dies"


@pytest.mark.parametrize(("name", "pattern"), [("A1_{:03d}", "{condition}/{well}_{t}"), ("{:04d}", "{condition}/{t}")])
def test_a_folder_of_numbered_planes_is_said_with_its_pattern(tmp_path, capsys, name, pattern):
    (tmp_path / "v").mkdir()
    for t in range(4):
        tifffile.imwrite(tmp_path / "v" / f"{name.format(t)}.tif", MOVIE[t, 0])
    _, found, _ = check(tmp_path, capsys)
    assert found["one_frame_each"]["value"].startswith("4 recordings have 1 frame each and differ by a number")
    assert found["one_frame_each"]["remedy"] == f'if so, write pattern = "{pattern}" in [files]'
    text = f'[files]\npattern = "{pattern}"\n[optics]\nframe_interval_s = 300\num_per_px = 1\n'
    _, found, err = check(tmp_path, capsys, text)
    assert "one_frame_each" not in found
    assert "channel 1 for guest is not there" in err  # one movie now, which has one channel


def test_numbered_frames_of_several_channels_are_to_be_joined(tmp_path, capsys):
    (tmp_path / "v").mkdir()
    for t in range(4):
        write_movie(tmp_path / "v" / f"A1_f{t}.ome.tif", MOVIE[t : t + 1], names=("Host", "Guest"), interval_s=None)
    _, found, _ = check(tmp_path, capsys)
    assert "save each movie as one file" in found["one_frame_each"]["remedy"]
    assert "one_frame" not in found  # said once of all, not of each


def test_wells_of_one_movie_each_are_not_taken_for_frames(tmp_path, capsys):
    for well in range(4):
        write_movie(tmp_path / "v" / f"A{well}_f1.ome.tif", MOVIE, names=("Host", "Guest"))
    _, found, _ = check(tmp_path, capsys)
    assert not {"one_frame_each", "one_frame"} & set(found)


def test_a_bad_number_of_a_file_is_replaced_by_the_line_its_message_asks_for(tmp_path, capsys):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", MOVIE, um=0.0, names=("Host", "Guest"))
    code, _, err = check(tmp_path, capsys)
    assert code == 4
    assert "must be a number above 0; give um_per_px in [optics] of the experiment file" in err
    code, found, err = check(tmp_path, capsys, "[optics]\num_per_px = 1.0\n")
    assert code == 0, err
    assert "the experiment file's um_per_px is used" in found["metadata_not_used"]["value"]
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(tmp_path), "-o", str(tmp_path / "out"), "--no-report"])
