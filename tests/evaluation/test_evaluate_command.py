"""The way from folders to tables and page, and what is said of folders that do not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from stories import ENTERS, VISITS, layout_of, perfect, truth_of

from cicimage.cli.evaluate import evaluate as command
from cicimage.errors import ResultsError
from cicimage.evaluation.evaluate import evaluate
from cicimage.evaluation.load import load_results, load_truth, read_scenario, shared_positions
from cicimage.evaluation.page import render
from cicimage.evaluation.sides import Measured, Truth
from cicimage.store import Results, write_json, write_table
from cicimage.tables import TABLES, empty

WORLD = {"vehicle/w1_f1": {**ENTERS, **VISITS}, "BTKi/w2_f1": {**ENTERS, **VISITS}}
CONDITIONS = {"vehicle/w1_f1": "vehicle", "BTKi/w2_f1": "BTKi"}


def write_truth(folder: Path, truth: Truth) -> Path:
    for position, clock in truth.clock_h.items():
        own = folder / position
        own.mkdir(parents=True)
        frames = truth.frames[truth.frames["position"] == position]
        frames.assign(time_h=clock[frames["frame"]]).to_parquet(own / "guests.parquet")
        hosts = truth.hosts[truth.hosts["position"] == position]
        hosts.assign(time_h=clock[hosts["frame"]]).to_parquet(own / "hosts.parquet")
        truth.events[truth.events["position"] == position].to_csv(own / "events.csv", index=False)
    return folder


def write_results(folder: Path, measured: Measured, conditions: Mapping[str, str]) -> Path:
    results = Results(folder)
    keys = {p: f"p{n:04d}" for n, p in enumerate(conditions, start=1)}
    design = layout_of(conditions).set_index("position")
    write_json(
        results.run,
        {
            "schema_version": 1, "version": "0", "positions": keys,
            "configuration": {"experiment": {"reference": "vehicle"}},
            "design": {p: {**design.loc[p].to_dict(), "path": "", "factors": {}} for p in conditions},
        },
    )  # fmt: skip
    for position, key in keys.items():
        own = results.position(key)
        for name in ("cells", "pairs", "frames", "events", "guests", "hosts", "drift", "qc"):
            rows = measured.tables.get(name, empty(TABLES[name]))
            write_table(own.table(name), rows[rows["position"] == position].reset_index(drop=True))
        write_json(own.receipt, {"schema_version": 1, "outcome": "done"})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("folders")
    truth = truth_of(WORLD)
    return write_results(root / "out", perfect(truth, CONDITIONS), CONDITIONS), write_truth(root / "in_truth", truth)


def run(*args: object) -> str:
    done = CliRunner().invoke(command, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_folders_give_what_tables_gave(folders):
    out, truth = folders
    found = evaluate(load_results(out), load_truth(truth))
    assert found.tables["faults"].empty
    assert found.score("entry", "f1") == 1.0
    assert found.about["positions"] == ["BTKi/w2_f1", "vehicle/w1_f1"]
    assert found.about["parameters"]["tolerance_min"] == 12.0


def test_command_writes_tables_and_page(folders):
    out, truth = folders
    said = run(out, "--truth", truth, "--prevalence", "0.05")
    assert "entry f1" in said
    assert "0 kinds of fault" in said
    made = out / "evaluation"
    assert pd.read_csv(made / "scores.csv")["metric"].str.contains("chota").any()
    assert {p.stem for p in made.glob("*.csv")} >= {"scores", "faults", "confusion", "decoys", "rates", "person_time"}
    about = json.loads((made / "evaluation.json").read_text())
    assert about["parameters"]["prevalences"] == [0.05]
    assert about["program"].startswith("cicimage ")
    page = (made / "evaluation.html").read_text()
    assert page.count("<svg") == 6
    assert "<script" not in page
    assert "http-equiv" in page


def test_names_are_escaped_on_the_page(tmp_path):
    name = "<script>alert(1)</script>"
    truth = truth_of({"a/w1": ENTERS})
    truth = Truth(truth.frames, truth.events, truth.hosts, truth.decoys, truth.clock_h, name)
    page = render(evaluate(perfect(truth, {"a/w1": name}), truth))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_between_two_runs(folders, tmp_path):
    out, truth = folders
    worse = load_results(out)
    events = worse.tables["events"]
    cut = Measured({**worse.tables, "events": events[events["guest_id"] != 501]}, worse.layout)
    other = write_results(tmp_path / "other", cut, CONDITIONS)
    said = run("--between", out, other, "--truth", truth, "-o", tmp_path / "both")
    assert "difference" in said
    table = pd.read_csv(tmp_path / "both" / "between.csv").set_index(["group", "metric", "condition"])
    row = table.loc[("entry", "recall", "all")]
    assert (row["out"], row["other"]) == (1.0, 0.5)
    assert row["difference"] == -0.5
    assert (tmp_path / "both" / "out" / "evaluation.html").exists()


def test_two_runs_without_truth_one_against_the_other(folders, tmp_path):
    out, _ = folders
    said = run("--between", out, out, "-o", tmp_path / "both")
    assert "whose calls stand for the truth" in said
    scores = pd.read_csv(tmp_path / "both" / "scores.csv").set_index(["group", "metric", "condition"])["value"]
    assert scores["detection", "f1", "all"] == 1.0
    assert scores["inside", "f1", "all"] == 1.0
    without = CliRunner().invoke(command, [str(out)])
    assert without.exit_code == 2
    assert "give --truth" in without.output


def test_reviewed_results_are_a_truth_too(folders):
    out, _ = folders
    found = evaluate(load_results(out), load_truth(out))
    assert found.score("inside", "f1") == 1.0
    assert found.score("entry", "f1") == 1.0
    assert "reviewed" in found.about["truth"]


def test_empty_results_are_evaluated(folders, tmp_path):
    _, truth = folders
    nothing = Measured({}, layout_of(CONDITIONS))
    found = evaluate(load_results(write_results(tmp_path / "none", nothing, CONDITIONS)), load_truth(truth))
    assert found.score("detection", "recall") == 0.0
    assert found.score("entry", "recall") == 0.0
    assert {"missed_guest", "missed_entry", "wrong_denominator"} <= set(found.tables["faults"]["fault"])


def test_truth_without_a_guest(folders):
    out, truth = folders
    world = load_truth(truth)
    bare = Truth(world.frames.iloc[:0], world.events.iloc[:0], world.hosts, world.decoys, world.clock_h, "bare")
    found = evaluate(load_results(out), bare)
    assert found.score("detection", "precision") == 0.0
    assert "false_guest" in set(found.tables["faults"]["fault"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p, out, truth: load_results(p), "must be a results folder"),
        (lambda p, out, truth: load_truth(p), "guests.parquet.*FOLDER_truth"),
        (lambda p, out, truth: shared_positions(truth_like(), load_results(out)), "share no position.*'elsewhere'"),
    ],
)
def test_folders_that_do_not_fit(folders, tmp_path, make, said: str):
    with pytest.raises(ResultsError, match=said):
        make(tmp_path, *folders)


def truth_like() -> Truth:
    return truth_of({"elsewhere": ENTERS})


def test_usage():
    done = CliRunner().invoke(command, ["--truth", "x"])
    assert done.exit_code == 2
    assert "either one results folder" in done.output


def test_scenario_of_a_truth_folder(tmp_path):
    assert read_scenario(tmp_path) == {}
    (tmp_path / "scenario.json").write_text('{"seed": 3}')
    assert read_scenario(tmp_path) == {"seed": 3}
