"""The fallback to bioio, with a stand-in for the library: what it says is taken over, what it makes up is not."""

import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tiff_maker import numbered

from cicimage.errors import RecordingError
from cicimage.experiment import load_experiment
from cicimage.recording import PlaneError, bioio_recording, open_recording, series_names

MOVIE = numbered(t=3, c=2, z=2)


class UnsupportedFileFormatError(Exception):
    """As bioio_base has it: no OSError, no ValueError."""


class Image:
    """What the program uses of bioio.BioImage."""

    scenes = ("left", "right")
    dtype = MOVIE.dtype
    dims = SimpleNamespace(order="TCZYX")
    shape = MOVIE.shape
    channel_names = ("Host", "Guest")
    physical_pixel_sizes = SimpleNamespace(X=0.325, Y=0.325, Z=2.0)
    time_interval = timedelta(seconds=240)

    def __init__(self, path):
        if path.read_bytes() == b"unknown":
            raise UnsupportedFileFormatError("install bioio-something")

    def set_scene(self, scene):
        self.scene = scene

    def get_image_dask_data(self, order, T, C, Z):
        if (T, C, Z) == (2, 1, 1):
            raise ValueError("truncated")
        assert order == "YX"
        return SimpleNamespace(compute=lambda: MOVIE[T, C, Z] + 100 * self.scene)


@pytest.fixture(autouse=True)
def bioio(monkeypatch):
    library, base = ModuleType("bioio"), ModuleType("bioio_base.exceptions")
    library.BioImage, base.UnsupportedFileFormatError = Image, UnsupportedFileFormatError
    monkeypatch.setitem(sys.modules, "bioio", library)
    monkeypatch.setitem(sys.modules, "bioio_base", ModuleType("bioio_base"))
    monkeypatch.setitem(sys.modules, "bioio_base.exceptions", base)
    monkeypatch.setattr(bioio_recording, "is_bioio", lambda: True)
    return library


@pytest.fixture
def path(tmp_path):
    out = tmp_path / "v" / "A1_f1.vsi"
    out.parent.mkdir()
    out.write_bytes(b"some format")
    return out


def test_planes_scale_and_names_of_a_scene(path):
    assert series_names(path) == ("left", "right")
    with open_recording(path, series=1) as recording:
        assert recording.sizes == {"T": 3, "C": 2, "Z": 2, "Y": 20, "X": 24}
        assert np.array_equal(recording.frame(1), MOVIE[1] + 100)
        meta = recording.metadata
        with pytest.raises(PlaneError, match=r"plane t=2, c=1, z=1 cannot be decoded .ValueError: truncated"):
            recording.frame(2)
    assert (meta.um_per_px, meta.um_per_z, meta.frame_interval_s) == (0.325, 2.0, 240)
    assert meta.channel_names == ("Host", "Guest")
    assert "whether the file is whole cannot be checked" in meta.notes[-1]


def test_what_bioio_makes_up_is_unknown(path, monkeypatch):
    monkeypatch.setattr(Image, "physical_pixel_sizes", SimpleNamespace(X=1.0, Y=1.0, Z=None))
    monkeypatch.setattr(Image, "channel_names", ("Channel:0:0", "Channel:0:1"))
    monkeypatch.setattr(Image, "time_interval", None)
    meta = open_recording(path, series=0).metadata
    assert (meta.um_per_px, meta.um_per_z, meta.frame_interval_s, meta.channel_names) == (None, None, None, None)
    assert any("may stand for unknown" in n for n in meta.notes)


def test_a_file_without_a_plugin_and_damaged_ones_of_our_own(path, tmp_path):
    path.write_bytes(b"unknown")
    with pytest.raises(RecordingError, match="no reader of this program takes it, nor a plugin of bioio"):
        open_recording(path)
    (tmp_path / "a.tif").write_bytes(b"garbage")
    with pytest.raises(RecordingError, match="not a TIFF file"):
        open_recording(tmp_path / "a.tif")
    (tmp_path / "b.vsi").write_bytes(b"")
    with pytest.raises(RecordingError, match=r"empty \(0 bytes\)"):
        open_recording(tmp_path / "b.vsi")


def test_such_files_are_recordings_where_bioio_is_there(path, tmp_path, monkeypatch):
    loaded = load_experiment(tmp_path)
    assert ([p.position for p in loaded.positions], loaded.unread) == (["v/A1_f1"], ())
    monkeypatch.setattr(bioio_recording, "is_bioio", lambda: False)
    (path.parent / "A2_f1.tif").touch()
    loaded = load_experiment(tmp_path)
    assert [p.position for p in loaded.positions] == ["v/A2_f1"]
    assert "(v/A1_f1.vsi); export them as OME-TIFF if they are meant, or install bioio" in loaded.unread[0]


def test_without_bioio_nothing_of_it_is_asked(path, monkeypatch):
    monkeypatch.setattr(bioio_recording, "is_bioio", lambda: False)
    with pytest.raises(RecordingError, match="not a recording that can be read"):
        open_recording(path)
