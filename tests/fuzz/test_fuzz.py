"""Changed files are read, or refused with one sentence; nothing else escapes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_readers import READERS, read_all
from tests.fuzz.fuzz_targets import TARGETS
from tests.fuzz.lif_maker import lif_bytes
from tests.recording.tiff_maker import numbered

EVERYTHING = {**TARGETS, **READERS}


@pytest.fixture(scope="module", params=EVERYTHING)
def target(request, tmp_path_factory):
    return EVERYTHING[request.param](tmp_path_factory.mktemp("fuzz"))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_only_sentences_escape(target, seed):
    target.attempt(seed)


def test_sound_recordings_are_read(tmp_path):
    """The readers' targets start from what the program reads; folders are read by the path that a user gives."""
    for name in ("tiff tags", "lif", "czi", "nd2"):
        one = READERS[name](tmp_path / name.replace(" ", "_"))
        for data in one.contents:
            (one.folder / one.name).write_bytes(data)
            read_all(one.folder / one.name)
    for name, place in (("operetta", "sound"), ("imagexpress", "sound"), ("metamorph", "sound/exp.nd"),
                        ("ome-zarr", "s2.zarr"), ("ome-zarr", "s3.zarr")):  # fmt: skip
        read_all(READERS[name](tmp_path / place.replace("/", "_") / name).folder / place)


def test_pixels_of_a_lif_made_by_hand_are_read(tmp_path):
    from cicimage.recording import open_recording

    movie = numbered(t=3, c=2, z=1)[:, :, 0]
    (tmp_path / "a.lif").write_bytes(lif_bytes(movie))
    with open_recording(tmp_path / "a.lif") as recording:
        assert all((recording.plane(t, c, 0) == movie[t, c]).all() for t in range(3) for c in range(2))


def test_sound_files_are_read(tmp_path):
    """The targets start from what the program itself takes."""
    for name, kind in TARGETS.items():
        if name in ("review log", "tables"):
            continue
        one = kind(tmp_path / name.replace(" ", "_"))
        for data in one.sound:
            one.read(data)
