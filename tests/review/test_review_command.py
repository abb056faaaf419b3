"""`cicimage review` without a viewer: status, agreement, salvage, and what it says where napari is missing."""

import re
from importlib.metadata import EntryPoint

import pytest
from small_world import world, write_results

from cicimage.cli import main
from cicimage.cli import review as command
from cicimage.review.log import log_path, read_log
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "out", {"a": world(), "b": world(condition="btki")})


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def judged(results, who, verdict="accept", finish=True):
    with Session.open(results, who) as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            said = verdict if item.candidate.call == "event" else "accept"
            session.do(verdict_on(session.position(item.candidate.position), item, said))
        if finish:
            session.finish()


def test_status_says_how_far_each_reviewer_is(results, capsys):
    assert run("review", results.root, "--status") == 0
    assert "nobody has reviewed yet" in capsys.readouterr().out
    judged(results, "anna")
    run("review", results.root, "--status")
    line = capsys.readouterr().out
    assert line.startswith("anna: ")
    assert "0 unsure" in line
    assert line.rstrip().endswith("finished")


def test_agreement_is_printed(results, capsys):
    judged(results, "anna")
    judged(results, "ben", "reject")
    assert run("review", results.root, "--compare", "anna", "ben") == 0
    said = capsys.readouterr().out
    assert "Cohen's kappa" in said
    assert "--adjudicate anna ben" in said
    assert run("review", results.root, "--compare", "anna", "carl") == 2


def test_accuracy_is_printed_per_condition(results, capsys):
    judged(results, "anna", "reject")
    assert run("review", results.root, "--accuracy", "anna") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("sensitivity_inside, all conditions: ")
    figure = r"(no such frame.*|[01]\.\d\d \(.* n \d+\))"
    shape = rf"(sensitivity|specificity|ppv)_inside, (all conditions|vehicle|btki): {figure}"
    assert all(re.fullmatch(shape, line) for line in said)
    assert run("review", results.root, "--accuracy", "carl") == 5


def test_a_damaged_log_is_salvaged(results, capsys):
    judged(results, "anna", finish=False)
    path = log_path(results.root, "anna")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b"accept", b"reject"), *lines[5:]]))
    run("review", results.root, "--status")
    assert "--salvage" in capsys.readouterr().err
    assert run("review", results.root, "--salvage", "anna") == 0
    assert "kept 4 lines" in capsys.readouterr().out
    assert len(read_log(path).records) == 4


def test_without_the_viewer_it_says_what_to_install(results, monkeypatch, capsys):
    monkeypatch.setattr(command, "entry_points", lambda **_: [])
    assert run("review", results.root) == 2
    assert 'review needs napari, which is not installed; pip install "cicimage[napari]"' in capsys.readouterr().err
    broken = EntryPoint("napari", "no_such_viewer:open", command.GROUP)
    monkeypatch.setattr(command, "entry_points", lambda **_: [broken])
    assert run("review", results.root) == 2
    assert "no_such_viewer is not installed" in capsys.readouterr().err


def test_report_follows_the_corrections(results, capsys):
    """Rejecting every event of a condition leaves it none; `--corrections none` shows the base again."""
    judged(results, "anna", "reject")
    assert run("report", results.root) == 0
    out = capsys.readouterr()
    assert "with the corrections of anna" in out.err
    from cicimage.store import read_table

    events = read_table(results.table("events"))
    assert (events["excluded_reason"] == "rejected").all()
    assert events["reviewed"].all()
    rates = read_table(results.table("rates")).set_index(["estimand", "condition"])
    assert rates.at[("entry_rate_per_guest_h", "vehicle"), "events"] == 0
    assert run("report", results.root, "--corrections", "none") == 0
    rates = read_table(results.table("rates")).set_index(["estimand", "condition"])
    assert rates.at[("entry_rate_per_guest_h", "vehicle"), "events"] == 2
    assert run("report", results.root, "--corrections", "carl") == 2
