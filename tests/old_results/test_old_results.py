"""A results folder of version 0.1.0, with recordings and review logs, works in today's program.

``make.py`` says how the archive was made. Its tables under ``expected/<reviewer>`` are what that version wrote with
the corrections of each reviewer.
"""

import json
import zipfile
from pathlib import Path

import pytest
from side_by_side import differences, tables_of

import cicimage as cic
from cicimage.cli import main
from cicimage.review.agreement import compare
from cicimage.review.desk import Desk
from cicimage.review.log import history, log_path, read_log, reviewers
from cicimage.review.results import corrected
from cicimage.review.session import Session
from cicimage.store import Results

ARCHIVE = Path(__file__).with_name("v0.1.0.zip")
REVIEWERS = ("adjudicated", "anna", "ben", "clara")
BASE = ("cells", "frames", "events", "guests", "hosts")
ROUNDING = {"p_inside": 1e-9, "p_entering": 1e-9, "p_dead": 1e-9, "p": 1e-9}
FORMATS = ("geff", "ctc", "trackmate", "napari", "ro-crate")


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The unpacked archive; the paths of its recordings are those of this machine."""
    root = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(root)
    run = root / "results" / "run.json"
    was = json.loads((root / "root.json").read_text())["root"]
    run.write_text(run.read_text().replace(was, root.as_posix()))
    return root


def call(*words):
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    return end.value.code


def base_tables(folder):
    return {name: table for name, table in tables_of(folder).items() if name in BASE}


@pytest.mark.parametrize("whose", ["none", *REVIEWERS])
def test_corrected_tables_are_those_of_the_old_program(old, whose):
    assert call("report", old / "results", "--corrections", whose) == 0
    expected, made = old / "expected" / whose, old / "results"
    assert [str(d) for d in differences(base_tables(expected), base_tables(made), tolerance=ROUNDING)] == []
    for name in ("rates", "comparisons"):
        before, after = tables_of(expected)[name], tables_of(made)[name]
        assert set(before.columns) <= set(after.columns)
        assert set(before["estimand"]) <= set(after["estimand"])
    assert "<html" in (made / "report.html").read_text(encoding="utf-8")


def test_every_correction_still_fits(old):
    results = Results(old / "results")
    assert tuple(sorted(reviewers(results.root))) == REVIEWERS
    for whose in REVIEWERS:
        laid = corrected(results, whose)
        assert laid.whose == whose
        assert laid.conflicts == ()
        assert laid.notes == ()


def test_it_opens_in_a_notebook(old):
    result = cic.open_results(old / "results")
    assert len(result.positions) == 4
    assert len(result.events) > 0
    assert result.masks(result.positions[0], 0, "guest").any()
    event = next(f"{p}#1" for p in result.positions if (result.events["event_id"] == f"{p}#1").any())
    assert result.crops(event)


@pytest.mark.parametrize("kind", FORMATS)
def test_it_is_exported(old, tmp_path, kind):
    whose = () if kind == "ro-crate" else ("--corrections", "anna")
    assert call("report", old / "results", "--corrections", "anna") == 0
    assert call("export", old / "results", "--format", kind, "-o", tmp_path / kind, *whose) == 0
    assert any((tmp_path / kind).rglob("*"))


def test_status_agreement_and_accuracy_are_printed(old, capsys):
    assert call("status", old / "results") == 0
    assert "4 done, 0 failed" in capsys.readouterr().out
    assert call("review", old / "results", "--status") == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in REVIEWERS)
    assert call("review", old / "results", "--compare", "anna", "ben") == 0
    assert "Cohen's kappa" in capsys.readouterr().out
    assert call("review", old / "results", "--accuracy", "anna") == 0
    assert compare(Results(old / "results"), "anna", "ben").n > 5


def test_the_review_goes_on_where_it_was(old):
    results = Results(old / "results")
    before = history(read_log(log_path(results.root, "ben")).records)
    with Session.open(results, "ben") as session:
        assert session.history == before
        assert session.finished
        assert not session.unblinded
        undone = session.undo()
        assert session.redo() == undone
    desk = Desk.open(results, "ben")
    item = desk.current.id
    desk.judge("unsure")
    assert desk.judged[item] == "unsure"
    desk.undo()
    assert desk.session.history.done == before.done
    desk.close()
    with Session.open(results, "clara") as session:
        assert session.unblinded
        assert [edit.kind for _, edit in session.edits()].count("note") <= 1


def test_a_run_goes_on_from_it(old, capsys):
    """Last: the run may make anew what this program makes otherwise; what people wrote is kept to the byte."""
    results = old / "results"
    logs = {path.name: path.read_bytes() for path in (results / "review").glob("*.jsonl")}
    assert call("run", old / "recordings", "-o", results, "--workers", "2") == 0
    assert "4 of 4 positions done" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (results / "review").glob("*.jsonl")} == logs
    assert corrected(Results(results), "anna").conflicts == ()
    before, after = base_tables(old / "expected" / "adjudicated"), base_tables(results)
    found = differences(before, after, tolerance=ROUNDING)
    assert {d.table for d in found} <= {"frames", "guests"}, found
    called = before["frames"].merge(after["frames"], on=["position", "frame", "guest_id"])
    assert (called["location_x"] == called["location_y"]).mean() > 0.99, "frames of hosts missed in between alone"
