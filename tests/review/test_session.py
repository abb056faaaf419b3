"""A session: written before it is applied, nothing half done, two reviewers side by side."""

import os

import pytest
from small_world import world, write_results

from cicimage.errors import ConfigurationError, ResultsError
from cicimage.guard import LimitError
from cicimage.review.anchor import cell_ref
from cicimage.review.blinding import Blind
from cicimage.review.edits import Note, SetLocation
from cicimage.review.footage import MovedError, open_footage, window
from cicimage.review.keys import ReviewError
from cicimage.review.log import ReviewLog, log_path, read_log
from cicimage.review.results import corrected
from cicimage.review.session import Session
from cicimage.store import DiskFullError, Results, write_json
from tests.conftest import draw_movie, write_movie


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "out", {"a": world(), "b": world(condition="btki")})


def painted(session, key="p0001", guest=12, first=6, last=13):
    ref = cell_ref(session.position(key).draft, "guest", guest, [first, last])
    return SetLocation(position=key, guest=ref, first=first, last=last, location="unresolved")


def test_an_edit_is_in_the_log_before_it_is_applied(results, monkeypatch):
    with Session.open(results, "anna") as session:
        edit = painted(session)

        def full(*_):
            raise DiskFullError("the disk is full")

        monkeypatch.setattr(ReviewLog, "append", full)
        with pytest.raises(DiskFullError):
            session.do(edit)
        assert session.position("p0001").untouched
        assert session.history.done == ()


def test_an_edit_that_does_not_fit_is_not_in_the_log(results):
    with Session.open(results, "anna") as session:
        edit = painted(session).model_copy(update={"last": 99})
        with pytest.raises(ReviewError):
            session.do(edit)
        with pytest.raises(ConfigurationError, match="position 'p0099': must be a finished position"):
            session.do(Note(position="p0099", text="x", frame=0))
    assert len(read_log(log_path(results.root, "anna")).records) == 1


def test_undo_goes_across_positions_and_restarts(results):
    with Session.open(results, "anna") as session:
        session.do(painted(session))
        session.do(painted(session, "p0002"))
    with Session.open(results, "anna") as session:
        assert session.undo().position == "p0002"
        assert session.undo().position == "p0001"
        assert session.undo() is None
        assert session.redo().position == "p0001"
    with Session.open(results, "anna") as session:
        assert [e.position for _, e in session.edits()] == ["p0001"]
        assert session.redo().position == "p0002"
        assert session.redo() is None


def test_two_reviewers_do_not_clash(results):
    with Session.open(results, "anna") as anna, Session.open(results, "ben") as ben:
        anna.do(painted(anna))
        assert ben.position("p0001").untouched
        assert anna.salt != ben.salt
        with pytest.raises(ResultsError, match="another window"):
            Session.open(results, "anna")


def test_unblinding_is_logged_and_marks_what_follows(results):
    with Session.open(results, "anna") as session:
        session.do(painted(session))
        session.unblind()
        session.do(painted(session, guest=14))
        assert [e.unblinded for _, e in session.edits()] == [False, True]
    with Session.open(results, "anna") as session:
        assert session.unblinded


def test_corrections_are_laid_by_name_and_by_default(results):
    assert corrected(results).whose == ""
    with Session.open(results, "anna") as session:
        session.do(painted(session))
    assert corrected(results).whose == "anna"
    assert set(corrected(results).tables) == {"vehicle/a"}
    assert corrected(results, "none").tables == {}
    with pytest.raises(ConfigurationError, match="nobody of this name has reviewed .*did you mean 'anna'"):
        corrected(results, "ana")


def test_a_damaged_log_stops_the_report_with_a_sentence(results):
    with Session.open(results, "anna") as session:
        session.do(painted(session))
        session.undo()
    path = log_path(results.root, "anna")
    path.write_bytes(path.read_bytes().replace(b"unresolved", b"attached__"))
    with pytest.raises(ResultsError, match="was altered or damaged"):
        corrected(results)


def test_what_is_no_results_folder_is_said(tmp_path):
    with pytest.raises(ResultsError, match="must be a results folder, has no run.json"):
        Session.open(Results(tmp_path), "anna")
    write_json(tmp_path / "run.json", {"schema_version": 1, "positions": {"a": "p0001"}})
    with pytest.raises(ResultsError, match="no position has finished, nothing can be reviewed"):
        Session.open(Results(tmp_path), "anna")


def test_results_of_a_version_before_reviews_are_said(results):
    (results.position("p0001").root / "setting.json").unlink()
    with Session.open(results, "anna") as session:
        with pytest.raises(ResultsError, match="made by a version before reviews; run `cicimage run` again"):
            session.position("p0001")


def test_a_moved_recording_is_asked_for(results):
    with Session.open(results, "anna") as session:
        with pytest.raises(MovedError, match="nowhere.tif: the recording is not there any more; say where it is now"):
            open_footage(results, session.position("p0001").base)


def test_a_recording_is_tried_in_a_process_of_its_own_before_the_window_opens_it(results, tmp_path, monkeypatch):
    path = write_movie(tmp_path / "A1.ome.tif", draw_movie([], [], frames=2, size=32))
    opened = []
    monkeypatch.setattr("cicimage.review.footage.open_recording", lambda *a, **_: opened.append(a))
    monkeypatch.setattr("cicimage.pipeline.opened._pass_gate", _crash)
    with Session.open(results, "anna") as session:
        with pytest.raises(LimitError, match=r"A1\.ome\.tif: the process that read it ended with exit code 7"):
            open_footage(results, session.position("p0001").base, path)
    assert not opened


def _crash(*_):
    os._exit(7)


def test_shown_names_tell_nothing_and_differ_between_reviewers():
    a, b = Blind("salt"), Blind("pepper")
    assert a.field("p0001") == a.field("p0001") != b.field("p0001")
    assert a.item("x") != a.item("x/2")
    assert len({a.guest("p0001", g) for g in range(500)}) == 500


def test_a_window_beyond_the_border_is_black():
    import numpy as np

    cut = window(np.arange(16).reshape(1, 4, 4), 2, -1, 4)
    assert cut.shape == (1, 4, 4)
    assert cut[0, :, 0].tolist() == [0, 0, 0, 0]
    assert cut[0, :, 1].tolist() == [8, 12, 0, 0]


def test_positions_with_and_without_corrections_are_joined(results):
    from cicimage.pipeline.collect import collect

    with Session.open(results, "anna") as session:
        session.do(painted(session))
    guests = collect(results, corrections=corrected(results)).tables["guests"].set_index(["condition", "guest_id"])
    assert guests["reviewed"].to_dict()[("vehicle", 12)]
    assert guests["reviewed"].sum() == 1
