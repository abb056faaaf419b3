"""The log of a reviewer: chained, flushed, torn ends dropped and said, undo as records."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from cicimage.errors import ConfigurationError, ResultsError
from cicimage.review import log as log_module
from cicimage.review.log import ReviewLog, history, log_path, read_log, reviewers, salvage
from cicimage.store import DiskFullError


def filled(path, n=3):
    with ReviewLog.open(path, "anna") as log:
        for i in range(n):
            log.append("edit", {"edit": {"i": i}})


def test_what_is_appended_is_read_back(tmp_path):
    path = log_path(tmp_path, "anna")
    filled(path)
    reading = read_log(path)
    assert [r.kind for r in reading.records] == ["header", "edit", "edit", "edit"]
    assert [r.body["edit"]["i"] for r in reading.records[1:]] == [0, 1, 2]
    assert reading.header["reviewer"] == "anna"
    assert len(reading.header["salt"]) == 32
    with ReviewLog.open(path, "anna") as log:
        assert log.records == list(reading.records)
        log.append("edit", {"edit": {"i": 3}})
    assert len(read_log(path).records) == 5
    assert reviewers(tmp_path) == ["anna"]


@pytest.mark.parametrize("cut", [1, 2, 30, 90])
def test_a_torn_last_line_is_dropped_and_said(tmp_path, cut):
    path = log_path(tmp_path, "anna")
    filled(path)
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    reading = read_log(path)
    assert len(reading.records) == 3
    assert "the last line (4, " in reading.notes[0]
    assert "the 3 lines before are kept" in reading.notes[0]
    with ReviewLog.open(path, "anna") as log:
        assert log.notes == reading.notes
        log.append("edit", {"edit": {"i": 9}})
    again = read_log(path)
    assert again.notes == ()
    assert [r.body["edit"]["i"] for r in again.records[1:]] == [0, 1, 9]
    torn = data[data.rstrip(b"\n").rfind(b"\n") + 1 : len(data) - cut]
    assert Path(str(path) + ".torn").read_bytes() == torn + b"\n"


def test_a_last_line_of_zeros_after_a_power_cut_is_dropped(tmp_path):
    path = log_path(tmp_path, "anna")
    filled(path)
    path.write_bytes(path.read_bytes() + b"\0" * 200)
    assert len(read_log(path).records) == 4


def test_an_altered_line_is_refused_and_can_be_salvaged(tmp_path):
    path = log_path(tmp_path, "anna")
    filled(path)
    path.write_bytes(path.read_bytes().replace(b'{"i":1}', b'{"i":7}'))
    with pytest.raises(ResultsError, match="line 3 of 4 must follow .*its hash does not fit its content.*--salvage"):
        read_log(path)
    kept, aside = salvage(path)
    assert kept == 2
    assert b'{"i":7}' in aside.read_bytes()
    assert [r.body["edit"]["i"] for r in read_log(path).records[1:]] == [0]


def test_a_line_taken_out_is_noticed(tmp_path):
    path = log_path(tmp_path, "anna")
    filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:] + [lines[3]]))
    with pytest.raises(ResultsError, match="line 3 of 4 must follow .*it does not follow the line before"):
        read_log(path)


def test_a_log_of_another_version_is_refused(tmp_path, monkeypatch):
    path = log_path(tmp_path, "anna")
    monkeypatch.setattr(log_module, "LOG_VERSION", 2)
    filled(path)
    monkeypatch.setattr(log_module, "LOG_VERSION", 1)
    with pytest.raises(ResultsError, match="schema_version must be 1, is 2"):
        read_log(path)


def test_one_window_per_reviewer_and_two_reviewers_at_once(tmp_path):
    with ReviewLog.open(log_path(tmp_path, "anna"), "anna"):
        with pytest.raises(ResultsError, match="another window has this reviewer's log open"):
            ReviewLog.open(log_path(tmp_path, "anna"), "anna")
        with ReviewLog.open(log_path(tmp_path, "ben"), "ben") as other:
            other.append("edit", {"edit": {}})
    with ReviewLog.open(log_path(tmp_path, "anna"), "anna"):
        pass


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    path = log_path(tmp_path, "anna")
    filled(path)
    before = path.read_bytes()
    with ReviewLog.open(path, "anna") as log:
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
        with pytest.raises(DiskFullError, match="the disk is full; everything before is kept"):
            log.append("edit", {"edit": {}})
        assert path.read_bytes() == before
        monkeypatch.setattr(os, "write", write)
        log.append("edit", {"edit": {"i": 3}})
    assert len(read_log(path).records) == 5


def test_a_read_only_folder_is_said(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ResultsError, match="must be writable to keep verdicts .Read-only file system."):
        ReviewLog.open(log_path(tmp_path, "anna"), "anna")


def test_a_foreign_writer_is_noticed(tmp_path):
    path = log_path(tmp_path, "anna")
    with ReviewLog.open(path, "anna") as log:
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(ResultsError, match="another program wrote to it"):
            log.append("edit", {"edit": {}})


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".hidden", "x" * 65])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(ConfigurationError, match="reviewer name"):
        log_path(tmp_path, name)


def test_a_missing_log_is_said(tmp_path):
    with pytest.raises(ResultsError, match="is missing"):
        read_log(log_path(tmp_path, "anna"))


def _write_until_killed(path):
    with ReviewLog.open(path, "anna") as log:
        for i in range(100_000):
            log.append("edit", {"edit": {"i": i, "mask": "x" * 2000}})


def test_kill_9_loses_at_most_the_record_in_hand(tmp_path):
    path = log_path(tmp_path, "anna")
    writer = multiprocessing.get_context("fork").Process(target=_write_until_killed, args=(path,))
    writer.start()
    while not path.exists() or path.stat().st_size < 50_000:
        assert writer.is_alive()
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    with ReviewLog.open(path, "anna") as log:
        assert [r.body["edit"]["i"] for r in log.records[1:]] == list(range(len(log.records) - 1))
        assert len(log.records) > 10


def test_undo_and_redo_are_records(tmp_path):
    with ReviewLog.open(log_path(tmp_path, "anna"), "anna") as log:
        a, b = log.append("edit", {"edit": "a"}), log.append("edit", {"edit": "b"})
        log.append("undo", {"of": b.n})
        log.append("undo", {"of": a.n})
        log.append("redo", {"of": a.n})
        state = history(log.records)
        assert state.done == (a,)
        assert state.undone == (b,)
        c = log.append("edit", {"edit": "c"})
        state = history(log.records)
        assert state.done == (a, c)
        assert state.undone == ()
        log.append("undo", {"of": a.n})
        with pytest.raises(ResultsError, match="undo must name the last edit"):
            history(log.records)


def damaged(folder):
    """A log whose third of four lines was altered."""
    path = log_path(folder, "anna")
    with ReviewLog.open(path, "anna") as log:
        for _ in range(3):
            log.append("shown", {"item": "x"})
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"x"', b'"y"')
    path.write_bytes(b"".join(lines))
    return path


def test_a_log_that_another_window_has_open_is_not_salvaged(tmp_path):
    path = log_path(tmp_path, "anna")
    with ReviewLog.open(path, "anna") as log:
        log.append("shown", {"item": "x"})
        before = path.read_bytes()
        with pytest.raises(ResultsError, match="another window has this reviewer's log open"):
            salvage(path)
        assert path.read_bytes() == before
        log.append("shown", {"item": "y"})
    assert [p.name for p in path.parent.iterdir()] == ["anna.jsonl"]
    assert len(read_log(path).records) == 3


def test_a_log_being_salvaged_is_opened_by_nobody(tmp_path, monkeypatch):
    path = damaged(tmp_path)
    cut = os.ftruncate

    def meanwhile(file, size):
        with pytest.raises(ResultsError, match="another window"):
            ReviewLog.open(path, "anna")
        cut(file, size)

    monkeypatch.setattr("cicimage.review.log.os.ftruncate", meanwhile)
    assert salvage(path)[0] == 2
    monkeypatch.undo()
    with ReviewLog.open(path, "anna") as log:
        assert len(log.records) == 2


@pytest.mark.parametrize("moment", ["cicimage.store.os.replace", "cicimage.review.log.os.ftruncate"])
def test_a_kill_while_salvaging_leaves_the_log_as_it_was(tmp_path, monkeypatch, moment):
    path = damaged(tmp_path)
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moment, killed)
        with pytest.raises(KeyboardInterrupt):
            salvage(path)
    assert path.read_bytes() == before
    assert salvage(path)[0] == 2
    assert any(p.read_bytes() == before for p in path.parent.glob("anna.jsonl.damaged-*"))


def test_no_room_to_set_the_damaged_log_aside_leaves_it(tmp_path, monkeypatch):
    path = damaged(tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cicimage.store.os.fsync", full)
    with pytest.raises(DiskFullError):
        salvage(path)
    assert path.read_bytes() == before


def test_a_line_cut_short_is_not_kept_and_a_log_that_is_not_there_is_said(tmp_path):
    path = damaged(tmp_path)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + whole[1].rstrip(b"\n"))
    assert salvage(path)[0] == 1
    assert path.read_bytes() == whole[0]
    with pytest.raises(ResultsError, match="is missing; `cicimage review` makes it"):
        salvage(log_path(tmp_path, "ben"))
