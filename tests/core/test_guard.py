"""Recordings are opened by a child process that is ended when a file breaks a limit, and replaced."""

import operator
import os
import time
from pathlib import Path

import psutil
import pytest

from cicimage.errors import ConfigurationError, RecordingError
from cicimage.guard import LimitError, Limits, ask, ask_for_pixels, guarded

HERE = Path("movie.tif")


def test_outside_of_a_block_the_function_is_called_here():
    assert ask(HERE, os.getpid) == os.getpid()


def test_one_child_serves_many_files_and_ends_with_the_block():
    with guarded():
        pid = ask(HERE, os.getpid)
        assert pid != os.getpid()
        assert ask(Path("other.tif"), os.getpid) == pid
    assert not psutil.pid_exists(pid)


def test_what_takes_too_long_is_ended_and_refused_from_then_on():
    with guarded(Limits(opening_s=0.3)):
        pid = ask(Path("sound.tif"), os.getpid)
        with pytest.raises(LimitError, match=r"movie\.tif: reading it took longer than the 0\.3 s allowed; check"):
            ask(HERE, time.sleep, 60)
        since = time.monotonic()
        with pytest.raises(LimitError, match="longer than"):
            ask(HERE, time.sleep, 60)
        assert time.monotonic() - since < 0.2, "it is not tried again"
        assert ask(Path("sound.tif"), os.getpid) != pid, "another child goes on with the other files"


def test_what_takes_too_much_memory_is_ended():
    with guarded(Limits(opening_bytes=100 << 20)):
        with pytest.raises(LimitError, match="took more than the 100 MiB of memory allowed"):
            ask(HERE, _hoard, 400 << 20)
        assert ask(Path("sound.tif"), operator.add, 1, 2) == 3


def _hoard(n_bytes):
    held = b"x" * n_bytes
    time.sleep(20)
    return len(held)


def test_mapped_files_do_not_count(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * (300 << 20))
    with guarded(Limits(opening_bytes=100 << 20)):
        assert ask(path, _touch_mapped, path) == 300 << 20


def _touch_mapped(path):
    import mmap

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        pages = sum(mapped[i] != 0 for i in range(0, len(mapped), 4096))
        time.sleep(0.3)
        return pages * 4096


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (os.abort, (), "the process that read it was killed by signal 6"),
        (os._exit, (3,), "the process that read it ended with exit code 3"),
        (operator.truediv, (1, 0), r"reading it failed \(ZeroDivisionError: division by zero\)"),
        (operator.mul, (b"x", 1 << 60), "needs more memory than there is"),
    ],
)
def test_whatever_happens_in_the_child_is_a_sentence_about_the_file(function, arguments, sentence):
    with guarded():
        with pytest.raises(LimitError, match=rf"movie\.tif: .*{sentence}"):
            ask(HERE, function, *arguments)
        assert ask(Path("sound.tif"), operator.add, 1, 2) == 3


def test_an_error_of_the_program_keeps_its_kind_and_sentence():
    with guarded(), pytest.raises(RecordingError, match="cannot be opened") as raised:
        ask(HERE, _refuse)
    assert type(raised.value) is RecordingError


def _refuse():
    raise RecordingError("movie.tif: cannot be opened; check the path")


def test_an_error_that_cannot_be_pickled_is_told_too():
    with guarded(), pytest.raises(LimitError, match="OddError"):
        ask(HERE, _fail_oddly)


def _fail_oddly():
    class OddError(Exception):
        pass

    raise OddError("x")


def test_pixels_have_the_limits_of_a_position():
    with guarded(Limits(opening_s=0.2, stall_s=5, opening_bytes=10 << 20)):
        assert ask_for_pixels(HERE, 400 << 20, _hold_briefly, 200 << 20) == 200 << 20


def _hold_briefly(n_bytes):
    held = b"x" * n_bytes
    time.sleep(0.5)
    return len(held)


def test_limits_come_from_the_environment_and_0_is_none(monkeypatch):
    monkeypatch.setenv("CICIMAGE_OPENING_SECONDS", "0")
    monkeypatch.setenv("CICIMAGE_OPENING_MIB", "512")
    assert Limits.of_environment() == Limits(0.0, 512 << 20, 900.0)
    monkeypatch.setenv("CICIMAGE_STALL_SECONDS", "soon")
    with pytest.raises(ConfigurationError, match="CICIMAGE_STALL_SECONDS must be a number from 0 on, is 'soon'"):
        Limits.of_environment()


def test_a_position_may_take_half_as_much_again():
    assert Limits().position_bytes(4 << 30) == 6 << 30
    assert Limits().position_bytes(1 << 20) == 2 << 30
    assert Limits(opening_bytes=0).position_bytes(4 << 30) == 0


def test_a_child_that_does_not_start_is_said_and_is_no_interrupt(monkeypatch):
    monkeypatch.setattr("cicimage.guard._serve", print)  # ends at once
    with guarded(), pytest.raises(ConfigurationError, match="could not be started"):
        ask(HERE, os.getpid)
