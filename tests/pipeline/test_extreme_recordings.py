"""Recordings at the limits of what a microscope writes: done, or refused with the number and what mends it."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from cicimage.cli import main
from cicimage.guard import LimitError, Limits, guarded, require_memory
from cicimage.preprocessing.registration import prepare
from cicimage.store import Results, read_json
from tests.conftest import draw_movie, write_movie
from tests.recording.tiff_maker import sparse_big_tiff

TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
WHOLE = draw_movie([(30, 30, 20)], [(25, 25, 4), (40, 40, 4)], frames=3, size=64)


def wide(height, width):
    """A movie of that many pixels, the whole one repeated."""
    return np.tile(WHOLE, (1, 1, -(-height // 64), -(-width // 64)))[..., :height, :width].copy()


EXTREME = {
    "narrow": (wide(16, 3000), {}, ""),
    "low": (wide(8, 8), {}, ""),
    "tall": (wide(500, 8), {}, ""),
    "sliver": (wide(1, 3000), {}, "planes must have at least 8 pixels along each side, they are 1 x 3000"),
    "point": (wide(1, 1), {}, "planes must have at least 8 pixels along each side, they are 1 x 1"),
    "fine": (WHOLE, {"um": 0.001}, ""),
    "coarse": (WHOLE, {"um": 1000.0}, ""),
    "finer": (WHOLE, {"um": 1e-300}, "um_per_px must lie between 1e-05 and 10000 um, the recording says 1e-300 um"),
    "coarser": (WHOLE, {"um": 1e300}, "um_per_px must lie between 1e-05 and 10000 um, the recording says 1e+300 um"),
    "slow": (WHOLE, {"interval_s": 1e300}, "frame_interval_s must lie between 1e-05 and 1e+07 s, the recording says"),
    "quick": (WHOLE, {"interval_s": 1e-300}, "frame_interval_s must lie between 1e-05 and 1e+07 s, the recording says"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("extreme")
    for name, (movie, scale, _) in EXTREME.items():
        write_movie(root / "in" / "v" / f"{name}.ome.tif", movie, **scale)
    (root / "in" / "experiment.toml").write_text(TOML + '[files]\npattern = "{condition}/{well}"\n')
    with pytest.raises(SystemExit) as done:
        main(["run", str(root / "in"), "-o", str(root / "out"), "--no-report"])
    assert done.value.code == 3
    results = Results(root / "out")
    keys = read_json(results.run)["positions"]
    return {p.partition("/")[2]: read_json(results.position(k).receipt) for p, k in keys.items()}


@pytest.mark.parametrize("name", EXTREME)
def test_it_is_done_or_refused_with_the_number(finished, name):
    receipt, sentence = finished[name], EXTREME[name][2]
    assert receipt["outcome"] == ("failed" if sentence else "done"), receipt["error"]
    assert sentence in receipt["error"]
    assert receipt.get("kind", "") == ("input" if sentence else "")


def test_a_scale_of_the_experiment_file_has_the_same_limits(tmp_path, capsys):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", WHOLE, um=None)
    (tmp_path / "experiment.toml").write_text(TOML + "[optics]\num_per_px = 50000.0\n")
    with pytest.raises(SystemExit) as done:
        main(["check", str(tmp_path)])
    assert done.value.code == 4
    assert "um_per_px must lie between 1e-05 and 10000 um, the experiment file says 50000 um" in capsys.readouterr().err


def test_a_scale_that_the_experiment_file_overrides_is_not_held_against_the_recording(tmp_path):
    write_movie(tmp_path / "v" / "A1_f1.ome.tif", WHOLE, um=1e-300)
    (tmp_path / "experiment.toml").write_text(TOML + "[optics]\num_per_px = 1.0\noverride_metadata = true\n")
    with pytest.raises(SystemExit) as done:
        main(["check", str(tmp_path)])
    assert done.value.code == 0


def test_a_strip_too_narrow_for_the_coarsest_level_shows_no_drift():
    frame, _ = prepare(np.random.default_rng(0).poisson(100, (8, 4000)).astype(np.float32), 512, 16.0, 98.0)
    assert frame.empty


def test_a_recording_that_memory_cannot_hold_is_refused_before_it_is_begun(tmp_path, capsys, monkeypatch):
    sound = write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", WHOLE)
    text = sound.read_bytes()
    xml = text[text.index(b"<?xml") : text.index(b"</OME>") + 6].decode().replace('"64"', '"20000"')
    sparse_big_tiff(tmp_path / "in" / "v" / "A2_f1.btf", 9, 20000, 20000, xml)
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    whole = psutil.virtual_memory()
    small = SimpleNamespace(total=8 << 30, available=min(whole.available, 8 << 30))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)
    said = r"A2_f1.btf: a position of it needs about 27.3 GiB of memory, this machine has 8 GiB; crop it"
    with pytest.raises(SystemExit) as done:
        main(["check", str(tmp_path / "in")])
    assert done.value.code == 3
    assert said in capsys.readouterr().err
    with pytest.raises(SystemExit) as done:
        main(["run", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--no-report"])
    assert done.value.code == 3
    assert f"v/A2_f1 failed: {said}" in capsys.readouterr().err


def test_without_a_limit_on_memory_a_large_recording_is_tried(tmp_path):
    with guarded(Limits(opening_bytes=0)):
        require_memory(tmp_path, 1 << 60)
    with guarded(), pytest.raises(LimitError, match="needs about"):
        require_memory(tmp_path, 1 << 60)
