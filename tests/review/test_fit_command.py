"""`cicimage fit`: from a reviewer's log to a parameter file that a run can use, and what it says where it cannot."""

import tomllib

import pytest
from small_world import STORIES, world, write_results

from cicimage.cli import main
from cicimage.events.hmm import MarkovScorer
from cicimage.events.parameters import load_parameters
from cicimage.experiment import load_experiment
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names

MORE = {g + 10 * k: (story, host) for k in range(2) for g, (story, host) in STORIES.items()}


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def judge_all(results, doubted=()):
    """Accept every call but the events of some guests, which are rejected."""
    with Session.open(results, "anna") as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            candidate = item.candidate
            wrong = candidate.call == "event" and candidate.guest_id in doubted
            session.do(verdict_on(session.position(candidate.position), item, "reject" if wrong else "accept"))
        session.finish()


def test_reviews_become_parameters_that_a_run_reads(tmp_path, capsys):
    results = write_results(tmp_path / "out", {n: world(guests=MORE) for n in ("a", "b")})
    judge_all(results, doubted={11, 14, 21, 24})
    file = tmp_path / "scorer.toml"
    assert run("fit", results.root, "-o", file) == 0
    said = capsys.readouterr().out
    assert "fine: " in said
    assert "corrected, trust" in said
    assert 'parameters = "scorer.toml"' in said
    made, built_in = load_parameters(str(file)), load_parameters()
    assert "corrections of anna" in made.provenance["refit_from"]
    assert "reviewed frames of" in made.provenance["refit_fine"]
    assert tomllib.loads(file.read_text())["schema_version"] == 2
    changed = {
        r.name for r, old in zip(made.regimes, built_in.regimes, strict=True) if (
            abs(r.emissions.offset - old.emissions.offset) > 1e-3
        ).any()
    }  # fmt: skip
    assert changed == {"fine"}
    assert run("fit", results.root, "-o", file) == 2, "a file that is there is not written over"
    assert "--force" in capsys.readouterr().err
    assert run("fit", results.root, "-o", file, "--force") == 0


def test_a_parameter_file_lies_beside_the_experiment_file(tmp_path):
    (tmp_path / "vehicle").mkdir()
    (tmp_path / "vehicle" / "A1_f1.tif").touch()
    (tmp_path / "experiment.toml").write_text(
        '[methods]\nscore = { method = "markov", parameters = "mine/scorer.toml", certainty = 0.8 }\n'
    )
    options = load_experiment(tmp_path).file.choices()["score"].options
    assert options["parameters"] == str((tmp_path / "mine" / "scorer.toml").resolve())
    assert MarkovScorer(**options).certainty == 0.8


def test_it_says_how_much_is_missing(tmp_path, capsys):
    results = write_results(tmp_path / "out", {"a": world()})
    assert run("fit", results.root, "-o", tmp_path / "s.toml") != 0
    assert "review at least 10 guests" in capsys.readouterr().err
    judge_all(results)
    assert run("fit", results.root, "-o", tmp_path / "s.toml") != 0
    assert "needs reviewed frames of at least 10 guests, inside and not inside, has " in capsys.readouterr().err
    assert not (tmp_path / "s.toml").exists()
    assert run("fit", tmp_path, "-o", tmp_path / "s.toml") != 0
    assert "must be a results folder" in capsys.readouterr().err
