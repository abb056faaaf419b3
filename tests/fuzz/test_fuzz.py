"""Changed files are read, or refused with one sentence; nothing else escapes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_targets import TARGETS


@pytest.fixture(scope="module", params=TARGETS)
def target(request, tmp_path_factory):
    return TARGETS[request.param](tmp_path_factory.mktemp("fuzz"))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_only_sentences_escape(target, seed):
    target.attempt(seed)


def test_sound_files_are_read(tmp_path):
    """The targets start from what the program itself takes."""
    for name, kind in TARGETS.items():
        if name in ("review log", "tables"):
            continue
        one = kind(tmp_path / name.replace(" ", "_"))
        for data in one.sound:
            one.read(data)
