"""Exports of many files: Operetta, ImageXpress, MetaMorph and name patterns."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
import tifffile
from tiff_maker import numbered

from cicimage.errors import RecordingError
from cicimage.recording import PlaneError, open_recording, preflight, series_names
from cicimage.recording.metamorph import read_nd
from cicimage.recording.name_pattern import find_fields


def whole(recording):
    return np.stack([recording.frame(t) for t in range(recording.sizes["T"])])


def save(path, plane, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, plane, photometric="minisblack", metadata=None, **options)


# ---------------------------------------------------------------- Operetta

IMAGE = (
    "<Image><URL>{name}</URL><Row>2</Row><Col>3</Col><FieldID>{field}</FieldID><PlaneID>{z}</PlaneID>"
    "<TimepointID>{t}</TimepointID><ChannelID>{c}</ChannelID><ChannelName>{channel}</ChannelName>"
    "<AcquisitionType>Confocal</AcquisitionType><ChannelType>Fluorescence</ChannelType>"
    '<ImageResolutionX Unit="m">{um}E-6</ImageResolutionX><ImageResolutionY Unit="m">3E-7</ImageResolutionY>'
    "<ImageSizeX>24</ImageSizeX><ImageSizeY>20</ImageSizeY>"
    '<PositionZ Unit="m">{height}E-6</PositionZ><MeasurementTimeOffset Unit="s">{s}</MeasurementTimeOffset>'
    '<ObjectiveNA Unit="">1.1</ObjectiveNA><ObjectiveMagnification Unit="">63</ObjectiveMagnification></Image>'
)


def write_operetta(root, movie, um="0.3", head="", url="{}"):
    folder = root / "Images"
    entries = []
    for t, c, z in np.ndindex(movie.shape[:3]):
        name = f"r02c03f01p{z + 1:02d}-ch{c + 1}sk{t + 1}fk1fl1.tiff"
        save(folder / name, movie[t, c, z], compression="lzw")
        entries.append(
            IMAGE.format(
                name=url.format(name),
                field=1,
                z=z + 1,
                t=t,
                c=c + 1,
                channel=["Host", "Guest"][c],
                um=um,
                height=2 * z,
                s=600 * t + 5 * c,
            )
        )
    images = f'<EvaluationInputData xmlns="x"><Images>{"".join(entries)}</Images></EvaluationInputData>'
    xml = f'<?xml version="1.0"?>{head}{images}'
    (folder / "Index.idx.xml").write_text(xml, encoding="utf-8")
    return root


def test_operetta_movie(tmp_path):
    movie = numbered()
    root = write_operetta(tmp_path / "plate", movie)
    assert series_names(root) == ("r02c03/1",)
    for path in (root, root / "Images", root / "Images" / "Index.idx.xml"):
        with open_recording(path) as recording:
            assert np.array_equal(whole(recording), movie)
            meta = recording.metadata
            assert len(recording.files) == movie[..., 0, 0].size
    assert (meta.um_per_px, meta.um_per_z, meta.frame_interval_s) == (pytest.approx(0.3), pytest.approx(2), 600)
    assert (meta.channel_names, meta.modality, meta.na) == (("Host", "Guest"), "spinning_disk", 1.1)


def test_operetta_gaps_and_lies(tmp_path):
    root = write_operetta(tmp_path / "a", numbered())
    (root / "Images" / "r02c03f01p02-ch1sk3fk1fl1.tiff").unlink()
    with pytest.raises(
        RecordingError, match=r"declares 24 planes for r02c03/1, 1 of their files missing \(first r02c03f01p02"
    ):
        preflight(root)
    root = write_operetta(tmp_path / "b", numbered())
    index = root / "Images" / "Index.idx.xml"
    text = index.read_text()
    index.write_text(text.replace(text[text.index("<Image>") : text.index("</Image>") + 8], "", 1))
    with pytest.raises(RecordingError, match=r"found 23 \(first missing t=0, c=0, z=0\); not zero-filled"):
        preflight(root)
    index.write_text(text.replace("<ImageSizeX>24", "<ImageSizeX>25"))
    with pytest.raises(RecordingError, match="declares planes of 20 x 25, the files hold 20 x 24"):
        preflight(root)
    index.write_text(text.replace("<ChannelID>2", "<ChannelID>1"))
    with pytest.raises(RecordingError, match="lists the plane t=0, c=0, z=0 of r02c03/1 twice"):
        preflight(root)
    index.write_text(text.replace("<PlaneID>1<", "<PlaneID>one<"))
    with pytest.raises(RecordingError, match="PlaneID of an image is 'one'; must be a whole number"):
        preflight(root)
    index.write_text(text[: len(text) // 2])
    with pytest.raises(RecordingError, match="not well-formed"):
        preflight(root)


def test_operetta_dangers(tmp_path):
    with pytest.raises(RecordingError, match="lies outside its folder"):
        preflight(write_operetta(tmp_path / "a", numbered(), url="../{}"))
    with pytest.raises(RecordingError, match=r"document type \(DTD\)"):
        preflight(write_operetta(tmp_path / "b", numbered(), head='<!DOCTYPE a SYSTEM "x">'))
    with pytest.raises(RecordingError, match="ImageResolutionX = -0.3E-6 must be a number above 0"):
        preflight(write_operetta(tmp_path / "c", numbered(), um="-0.3"))
    assert preflight(tmp_path / "c", given=["um_per_px"]).metadata.um_per_px is not None  # from the other side


def test_real_operetta(real_data):
    root = real_data / "operetta_leukemia" / "operetta_plate"
    assert series_names(root) == ("r03c03/1", "r03c03/2")
    for series, name in enumerate(("r03c03f01p01-ch1sk1fk1fl1.tiff", "r03c03f02p01-ch1sk1fk1fl1.tiff")):
        with open_recording(root, series=series) as recording:
            assert recording.sizes == {"T": 1, "C": 1, "Z": 1, "Y": 1080, "X": 1080}
            assert np.array_equal(recording.plane(0, 0, 0), tifffile.imread(root / "Images" / name))
            meta = recording.metadata
    assert meta.um_per_px == pytest.approx(1.19595, abs=1e-5)
    assert (meta.channel_names, meta.na, meta.modality) == (("Fluorescein (FITC)",), 0.3, "widefield")


# ---------------------------------------------------------------- ImageXpress


def guid(k):
    return f"{k:08X}-3E85-4358-AE51-A465AF87386F"


PROPS = (
    '<MetaData><prop id="spatial-calibration-state" value="on"/><prop id="spatial-calibration-x" value="0.5"/>'
    '<prop id="spatial-calibration-y" value="0.5"/><prop id="spatial-calibration-units" value="um"/>'
    '<prop id="acquisition-time-local" value="20240422 09:{minute:02d}:00.000"/>'
    '<prop id="z-position" value="{height}"/><prop id="_IllumSetting_" value="{channel}"/>'
    '<custom-prop id="IXConfocal Module Disk" value="{disk}"/></MetaData>'
)


def write_imagexpress(root, movie, disk="OUT", flat=()):
    k = 0
    for t, c, z in np.ndindex(movie.shape[:3]):
        if c in flat and z:
            continue
        k += 1
        folder = root / f"TimePoint_{t + 1}"
        if movie.shape[2] > 1 and c not in flat:
            folder = folder / f"ZStep_{z + 1}"
        props = PROPS.format(minute=10 * t + c, height=100 + 1.5 * z, channel=["FITC", "Cy3"][c], disk=disk)
        save(folder / f"plate_B02_s1_w{c + 1}{guid(k)}.tif", movie[t, c, z], description=props)
        save(folder / f"plate_B02_s1_w{c + 1}_thumb{guid(k)}.tif", movie[t, c, z, ::4, ::4])
    return root


@pytest.mark.parametrize("n_z", [1, 3])
def test_imagexpress_movie(tmp_path, n_z):
    movie = numbered(z=n_z)
    path = write_imagexpress(tmp_path / "1697", movie)
    assert series_names(path) == ("B02/1",)
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)
        meta = recording.metadata
    assert (meta.um_per_px, meta.frame_interval_s, meta.modality) == (0.5, 600, "widefield")
    assert meta.channel_names == ("FITC", "Cy3")
    assert meta.um_per_z == (1.5 if n_z > 1 else None)


def test_imagexpress_channel_of_one_slice_beside_stacks(tmp_path):
    movie = numbered()
    path = write_imagexpress(tmp_path / "1697", movie, flat=(1,))
    with open_recording(path) as recording:
        assert recording.sizes["Z"] == 3
        assert np.array_equal(recording.frame(2, channels=[0]), movie[2, :1])
        assert np.array_equal(recording.plane(2, 1, 0), movie[2, 1, 0])
        with pytest.raises(RecordingError, match="channel 1 has one slice, slice 1 was asked for"):
            recording.frame(2)


def test_imagexpress_gaps_and_twins(tmp_path):
    path = write_imagexpress(tmp_path / "1697", numbered(z=1))
    gone = next((path / "TimePoint_3").glob("*_w2*-*.tif"))
    again = gone.with_name(gone.name.replace("w2", "w1"))
    gone.rename(again)
    with pytest.raises(RecordingError, match=r"are the same plane \(time point 3, w1\); keep one of them"):
        preflight(path)
    again.unlink()
    with pytest.raises(
        RecordingError, match=r"declares 8 planes, found 7 \(first missing t=2, c=1, z=0\); not zero-filled"
    ):
        preflight(path)


def test_imagexpress_projection_beside_its_stack_is_no_slice_of_it(tmp_path):
    """The projection of a channel lies beside the folders of its slices; one of the two would be lost unseen."""
    path = write_imagexpress(tmp_path / "1697", numbered())
    for t in (1, 2, 3, 4):
        save(path / f"TimePoint_{t}" / f"plate_B02_s1_w1{guid(900 + t)}.tif", numbered()[t - 1, 0].max(0))
    with pytest.raises(RecordingError, match=r"are the same plane \(time point 1, w1\); keep one of them"):
        preflight(path)


def test_imagexpress_twins_cost_their_own_site_alone(tmp_path):
    path = write_imagexpress(tmp_path / "1697", numbered(z=1))
    good = next((path / "TimePoint_1").glob("*_w1*-*.tif"))
    for k in (1, 2):
        shutil.copy(good, good.with_name(f"plate_C03_s1_w1{guid(900 + k)}.tif"))
    assert series_names(path) == ("B02/1", "C03/1")
    assert preflight(path, series=0).sizes["T"] == 4
    with pytest.raises(RecordingError, match="are the same plane"):
        preflight(path, series=1)


def test_real_imagexpress(real_data):
    path = real_data / "metamorph_imagexpress/imagexpress/1well-3C-2S-Zmix-T/2024-04-22/1697"
    assert series_names(path) == ("C07/1", "C07/2")
    with open_recording(path, series=1) as recording:
        assert recording.sizes == {"T": 2, "C": 3, "Z": 1, "Y": 256, "X": 256}
        movie, meta = whole(recording), recording.metadata
    for t in range(2):
        for c in range(3):
            file = next((path / f"TimePoint_{t + 1}").glob(f"*_s2_w{c + 1}*.tif"))
            assert np.array_equal(movie[t, c, 0], tifffile.imread(file))
    assert meta.um_per_px == pytest.approx(13.5504)
    assert (meta.channel_names, meta.na, meta.modality) == (("FITC", "Cy3", "Texas Red"), 0.2, "spinning_disk")
    assert meta.frame_interval_s == pytest.approx(5.577, abs=0.5)


# ---------------------------------------------------------------- MetaMorph

ND = (
    '"NDInfoFile", Version 1.0\r\n"DoTimelapse", TRUE\r\n"NTimePoints", {t}\r\n"DoStage", TRUE\r\n'
    '"NStagePositions", 2\r\n'
    '"Stage1", "left"\r\n"Stage2", "right"\r\n"DoWave", TRUE\r\n"NWavelengths", 2\r\n"WaveName1", "488/Host"\r\n'
    '"WaveDoZ1", TRUE\r\n"WaveName2", "Guest"\r\n"WaveDoZ2", {deep}\r\n"DoZSeries", TRUE\r\n"NZSteps", {z}\r\n'
    '"ZStepSize", 0.75\r\n"WaveInFileName", TRUE\r\n"EndFile"\r\n'
)


def write_metamorph(folder, movie, deep="TRUE"):
    folder.mkdir()
    n_t, _, n_z = movie.shape[:3]
    for stage in (1, 2):
        for t in range(n_t):
            save(folder / f"exp_w1488-Host_s{stage}_t{t + 1}.tif", movie[t, 0] + 100 * (stage - 1), contiguous=True)
            save(folder / f"exp_w2Guest_s{stage}_t{t + 1}.TIF", movie[t, 1] + 100 * (stage - 1), contiguous=True)
    (folder / "exp.nd").write_text(ND.format(t=n_t, z=n_z, deep=deep), newline="")
    return folder / "exp.nd"


def test_metamorph_movie(tmp_path):
    movie = numbered()
    path = write_metamorph(tmp_path / "a", movie)
    assert series_names(path) == ("left", "right")
    with open_recording(path, series=1) as recording:
        assert np.array_equal(whole(recording), movie + 100)
        assert recording.metadata.channel_names == ("488/Host", "Guest")
        assert recording.metadata.um_per_z == 0.75


def test_metamorph_stk_with_one_directory(tmp_path):
    """A .stk holds its planes behind one another and says how many in the count of a tag of its own."""
    movie = numbered()
    path = write_metamorph(tmp_path / "a", movie)
    for t in range(4):
        (tmp_path / "a" / f"exp_w2Guest_s1_t{t + 1}.TIF").unlink()
        stack = tmp_path / "a" / f"exp_w2Guest_s1_t{t + 1}.stk"
        save(stack, movie[t, 1, 0], extratags=[(33629, "2I", 3, [1, 1] * 3, True)])
        with tifffile.TiffFile(stack) as file:
            offset = file.pages[0].tags[273].valueoffset
        data = bytearray(stack.read_bytes())
        data[offset : offset + 4] = len(data).to_bytes(4, "little")
        stack.write_bytes(bytes(data) + movie[t, 1].tobytes())
    with open_recording(path, series=0) as recording:
        assert np.array_equal(whole(recording), movie)


def test_metamorph_gaps(tmp_path):
    path = write_metamorph(tmp_path / "a", numbered())
    (tmp_path / "a" / "exp_w2Guest_s1_t3.TIF").unlink()
    with pytest.raises(
        RecordingError, match=r"declares 8 files for stage position 1, found 7 \(first missing w2, t3\)"
    ):
        preflight(path, series=0)
    path = write_metamorph(tmp_path / "b", numbered(), deep="FALSE")
    with pytest.raises(RecordingError, match="declares 1 slice, found 3; not zero-filled"):
        preflight(path, series=0)
    text = path.read_text()
    path.write_text(text.replace('"EndFile"', ""))
    with pytest.raises(RecordingError, match='ends before its "EndFile": cut short'):
        preflight(path, series=0)
    path.write_text(text.replace('"NTimePoints", 4', '"NTimePoints", many'))
    with pytest.raises(RecordingError, match="NTimePoints is 'many'; must be a whole number above 0"):
        preflight(path, series=0)


@pytest.mark.parametrize("name", ["exp_w2Guest_s1_t3.stk", "exp_w2_s1_t3.tif", "exp_w2Guest_s1_t03.tif"])
def test_metamorph_twins(tmp_path, name):
    """Two files for one stack: which of them is the recording nobody can tell."""
    path = write_metamorph(tmp_path / "a", numbered())
    shutil.copy(tmp_path / "a" / "exp_w2Guest_s1_t3.TIF", tmp_path / "a" / name)
    with pytest.raises(RecordingError, match=r"exp\.nd: exp_w2.* and exp_w2.* are the same stack; keep one of them"):
        preflight(path, series=0)
    assert preflight(path, series=1).sizes["T"] == 4


@pytest.mark.parametrize(
    ("name", "stages", "waves", "times", "slices"),
    [
        ("sample_2ch_75pos_361t.nd", 75, ("BF-488-Cam1", "488-BF-Cam0"), 361, 25),
        ("sample_4ch_1pos_1z.nd", 1, ("confDAPI", "confGFP", "confmCherry", "confCy5"), 1, 1),
        ("sample_4ch_4pos.nd", 4, ("Conf640", "Conf561", "Conf488", "Conf405"), 1, None),
        ("data/sample_3ch_2pos_mixed-z.nd", 2, ("Conf640", "Conf561", "Conf488"), 1, 42),
    ],
)
def test_real_nd_files(real_data, name, stages, waves, times, slices):
    found = read_nd(real_data / "metamorph_imagexpress" / "metamorph_nd" / name)
    assert (len(found.stages), tuple(n for n, _ in found.waves), found.n_times) == (stages, waves, times)
    if slices is not None:
        assert found.n_slices == slices


def test_real_metamorph_planes(real_data, tmp_path):
    """The folder's stacks were cut down to 5 slices of the 42 declared: refused as it is, read once it says 5."""
    folder = real_data / "metamorph_imagexpress" / "metamorph_nd" / "data"
    path = folder / "sample_3ch_2pos_mixed-z.nd"
    with pytest.raises(RecordingError, match="declares 42 slices, found 5; not zero-filled"):
        preflight(path, series=0)
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    mended = tmp_path / path.name
    mended.write_bytes(path.read_bytes().replace(b'"NZSteps", 42', b'"NZSteps", 5'))
    with open_recording(mended, series=1) as recording:
        assert recording.sizes == {"T": 1, "C": 3, "Z": 5, "Y": 3, "X": 2}
        stack = tifffile.imread(folder / "sample_3ch_2pos_mixed-z_w3Conf488_s2.stk")
        assert np.array_equal(recording.frame(0, channels=[2])[0], stack)
        assert recording.metadata.um_per_z == 3
        with pytest.raises(RecordingError, match="channel 0 has one slice"):
            recording.plane(0, 0, 3)


# ---------------------------------------------------------------- name patterns


def test_micro_manager_names(tmp_path):
    movie = numbered()
    for t, c, z in np.ndindex(movie.shape[:3]):
        save(tmp_path / f"img_channel{c:03d}_position007_time{t:09d}_z{z:03d}.tif", movie[t, c, z])
    fields = find_fields(tmp_path, "img_channel{c}_position{field}_time{t}_z{z}.tif")
    assert [(f.path.name, dict(f.values), len(f.files)) for f in fields] == [
        ("img_channel{c}_position007_time{t}_z{z}.tif", {"field": "007"}, 24)
    ]
    with open_recording(fields[0].path) as recording:
        assert np.array_equal(whole(recording), movie)
        assert recording.metadata.channel_names is None


def test_incucyte_names_give_channels_and_a_clock(tmp_path):
    movie = numbered(t=4, z=1)
    minutes = [0, 90, 60 * 23 + 30, 60 * 50]
    for t, c in np.ndindex(4, 2):
        day, rest = divmod(minutes[t], 1440)
        name = f"{['green', 'red'][c]}_B2_1_{day:02d}d{rest // 60:02d}h{rest % 60:02d}m.tif"
        save(tmp_path / "vehicle" / name, movie[t, c, 0])
    fields = find_fields(tmp_path, "{condition}/{channel}_{well}_{field}_{day}d{hour}h{minute}m.tif")
    assert [dict(f.values) for f in fields] == [{"condition": "vehicle", "well": "B2", "field": "1"}]
    assert fields[0].path == tmp_path / "vehicle" / "{channel}_B2_1_{day}d{hour}h{minute}m.tif"
    with open_recording(fields[0].path) as recording:
        assert np.array_equal(whole(recording), movie)
        assert recording.metadata.channel_names == ("green", "red")
        assert recording.metadata.time_s.tolist() == [60 * m for m in minutes]


def test_dates_cross_midnight(tmp_path):
    for k, stamp in enumerate(("2020y02m28d_23h30m", "2020y02m29d_00h30m", "2020y03m01d_00h30m")):
        save(tmp_path / f"a_{stamp}.tif", np.full((4, 4), k, np.uint16))
    found = preflight(tmp_path / "a_{year}y{month}m{date}d_{hour}h{minute}m.tif")
    assert found.metadata.time_s.tolist() == [0, 3600, 90000]


def test_patterns_that_do_not_work(tmp_path):
    for t in range(3):
        save(tmp_path / f"a_t{t}_c0.tif", np.zeros((4, 4), np.uint16))
    save(tmp_path / "a_t1_c1.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(RecordingError, match=r"declares 6 planes, found 4 \(first missing t=0, c=1, z=0\); not zero"):
        preflight(tmp_path / "a_t{t}_c{c}.tif")
    with pytest.raises(RecordingError, match=r"no file in .* fits this name; mend the pattern in \[files\]"):
        preflight(tmp_path / "b_t{t}.tif")
    with pytest.raises(RecordingError, match=r"are the same plane by their names \(t=1, c=0, z=0\)"):
        preflight(tmp_path / "a_t{t}_c{any}.tif")
    with pytest.raises(RecordingError, match=r"placeholder {tme}; did you mean 'time'|placeholder {tme}; known"):
        find_fields(tmp_path, "a_{tme}_c{c}.tif")
    with pytest.raises(RecordingError, match="no such folder"):
        preflight(tmp_path / "nowhere" / "a_t{t}.tif")
    save(tmp_path / "c_t0.tif", np.zeros((2, 4, 4), np.uint16))
    with pytest.raises(RecordingError, match="holds 2 planes, one per file was expected"):
        preflight(tmp_path / "c_t{t}.tif")
    save(tmp_path / "d_2020y13m40d.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(RecordingError, match="is no date"):
        preflight(tmp_path / "d_{year}y{month}m{date}d.tif")


def test_real_frames_by_pattern(real_data):
    path = real_data / "usiigaci_T98G_timelapse" / "raw" / "20180101ef002xy01t{t}.tif"
    with open_recording(path) as recording:
        assert recording.sizes == {"T": 4, "C": 1, "Z": 1, "Y": 1022, "X": 1024}
        assert np.array_equal(recording.plane(2, 0, 0), tifffile.imread(path.parent / "20180101ef002xy01t03.tif"))


@pytest.mark.parametrize("left_out", [(1,), (2,), (2, 3), (4,), (1, 4)])
@pytest.mark.parametrize("step", [1, 10])
def test_numbers_of_time_points_are_values_and_a_gap_is_missing_frames(tmp_path, left_out, step):
    """Were a gap closed, all frames behind it would move forward in time."""
    for t in range(6):
        if t not in left_out:
            save(tmp_path / f"a_t{step * t}.tif", np.full((4, 4), t, np.uint16))
    with open_recording(tmp_path / "a_t{t}.tif") as recording:
        assert recording.sizes["T"] == 6
        for t in range(6):
            if t in left_out:
                with pytest.raises(PlaneError, match="no file for this time point"):
                    recording.plane(t, 0, 0)
            else:
                assert recording.plane(t, 0, 0)[0, 0] == t
        missing = ", ".join(str(step * t) for t in left_out)
        assert recording.metadata.notes == (
            f"a_t{{t}}.tif: no files for time points {missing}; these frames are missing, and the clock runs on",
        )


@pytest.mark.parametrize("numbers", [(0, 1, 2, 50), (0, 2, 5, 7), (0, 3, 7, 11), (0, 1, 7, 8)])
def test_numbers_of_time_points_that_are_no_steps_are_refused(tmp_path, numbers):
    for t in numbers:
        save(tmp_path / f"a_t{t}.tif", np.full((4, 4), t, np.uint16))
    with pytest.raises(RecordingError, match="time points must be numbered in equal steps, .* copy the missing files"):
        preflight(tmp_path / "a_t{t}.tif")


def test_a_slice_that_is_missing_is_named(tmp_path):
    for t, z in np.ndindex(2, 6):
        if z != 3:
            save(tmp_path / f"a_t{t}_z{z}.tif", np.full((4, 4), z, np.uint16))
        save(tmp_path / f"b_t{t}_z{2 * z}.tif", np.full((4, 4), z, np.uint16))
    with pytest.raises(RecordingError, match="slices must be numbered in equal steps, 2 is followed by 4, so slices"):
        preflight(tmp_path / "a_t{t}_z{z}.tif")
    with open_recording(tmp_path / "b_t{t}_z{z}.tif") as recording:
        assert recording.sizes["Z"] == 6


def clocked(folder, times, name="A1_{:02d}h{:02d}m.tif"):
    for k, (hour, minute) in enumerate(times):
        save(folder / name.format(hour, minute), np.full((4, 4), k, np.uint16))


def test_a_clock_without_a_day_goes_on_over_midnight(tmp_path):
    clocked(tmp_path, [(23, 0), (23, 20), (23, 40), (0, 0), (0, 20), (0, 40)])
    with open_recording(tmp_path / "A1_{hour}h{minute}m.tif") as recording:
        assert whole(recording)[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert recording.metadata.time_s.tolist() == [0, 1200, 2400, 3600, 4800, 6000]


def test_a_clock_that_does_not_show_where_the_recording_begins_is_refused(tmp_path):
    clocked(tmp_path, [(hour, 30) for hour in (*range(15, 24), *range(15))])
    with pytest.raises(RecordingError, match=r"must show by a pause; .* add {day} to the names"):
        preflight(tmp_path / "A1_{hour}h{minute}m.tif")


@pytest.mark.parametrize("hours", [range(20), range(20, 50), range(8, 16)])
def test_hours_of_the_recordings_own_clock_stay_as_they_are(tmp_path, hours):
    clocked(tmp_path, [(hour, 0) for hour in hours])
    times = preflight(tmp_path / "A1_{hour}h{minute}m.tif").metadata.time_s
    assert times.tolist() == [3600 * (hour - hours[0]) for hour in hours]


def test_placeholders_in_folders_are_opened_as_they_are_found(tmp_path):
    movie = numbered(t=3, z=1)
    for t, c in np.ndindex(3, 2):
        save(tmp_path / "any" / "BTKi" / f"Pos{c}" / f"img_c{c}_t{t}.tif", movie[t, c, 0])
        save(tmp_path / "by_channel" / ("red", "green")[c] / f"VID1_B2_1_00d{t:02d}h00m.tif", movie[t, c, 0])
    (field,) = find_fields(tmp_path / "any", "{condition}/Pos{any}/img_c{c}_t{t}")
    with open_recording(field.path) as recording:
        assert np.array_equal(whole(recording), movie)
    (field,) = find_fields(tmp_path / "by_channel", "{channel}/{any}_{well}_{field}_{day}d{hour}h{minute}m")
    assert len(field.files) == 6
    with open_recording(field.path) as recording:
        assert recording.metadata.channel_names == ("green", "red")
        assert np.array_equal(whole(recording), movie[:, ::-1])


def test_a_template_that_could_take_for_ever_is_refused(tmp_path):
    save(tmp_path / ("a" * 180 + ".tif"), np.zeros((4, 4), np.uint16))
    for template in ("{any}{any}_t{t}", "{any}a{any}a{any}a{any}a{any}_t{t}"):
        with pytest.raises(RecordingError, match="must have at most 4 {any} and no two in a row; write out the text"):
            find_fields(tmp_path, template)
    begun = time.perf_counter()
    assert find_fields(tmp_path, "{any}a{any}a{any}a{any}a_t{t}") == ()
    assert time.perf_counter() - begun < 20


def test_every_second_frame_and_clock_times_with_a_gap_are_read(tmp_path):
    for t in (10, 12, 14):
        save(tmp_path / f"a_t{t}.tif", np.full((4, 4), t, np.uint16))
        save(tmp_path / f"b_00d{t * t // 10}h00m.tif", np.full((4, 4), t, np.uint16))
    with open_recording(tmp_path / "a_t{t}.tif") as recording:
        assert whole(recording)[:, 0, 0, 0, 0].tolist() == [10, 12, 14]
    assert preflight(tmp_path / "b_{day}d{hour}h{minute}m.tif").metadata.time_s.tolist() == [0, 4 * 3600, 9 * 3600]


def test_one_bad_file_in_an_export_is_named(tmp_path):
    for t in range(3):
        save(tmp_path / f"a_t{t}.tif", np.zeros((4, 4), np.uint16))
    data = (tmp_path / "a_t1.tif").read_bytes()
    (tmp_path / "a_t1.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match=r"a_t1\.tif: .* ends at byte \d+, file has \d+"):
        preflight(tmp_path / "a_t{t}.tif")
    save(tmp_path / "a_t1.tif", np.zeros((5, 4), np.uint16))
    with pytest.raises(RecordingError, match=r"a_t1\.tif: plane 1 is 5 x 4 of uint16, the first one 4 x 4"):
        preflight(tmp_path / "a_t{t}.tif")
    (tmp_path / "a_t1.tif").write_bytes(b"")
    with pytest.raises(RecordingError, match=r"a_t1\.tif: empty \(0 bytes\)"):
        preflight(tmp_path / "a_t{t}.tif")


def test_a_folder_that_is_no_recording(tmp_path):
    with pytest.raises(RecordingError, match="is a folder that holds no recording of its own"):
        preflight(tmp_path)
