"""Names that look like one name typed in two ways are asked about, by every door."""

import json

import pandas as pd
import pytest

from cicimage.cli import main
from cicimage.experiment.alike import alike_names, are_alike
from tests.conftest import draw_movie, write_movie

SAME = [
    ("D1", "d1"), ("D1", "D 1"), ("D1", "\uff24\uff11"), ("D1", "D\u200b1"), ("D-1", "D1"), ("AMD 3100", "AMD3100"),
    ("vehicle", "vehcle"), ("vehicle", "vehicel"), ("vehicle", "vehikle"), ("vehicle", "vehiclee"),
    ("Muller", "Müller"), ("BTKi + AMD", "BTKi+AMD"), ("patient_1", "Patient 1"),
]  # fmt: skip
TWO = [
    ("D1", "D2"), ("D1", "D11"), ("donor A", "donor B"), ("donorA", "donorB"), ("patient 1", "patient 11"),
    ("BTKi", "BTKi+"), ("Receptor+", "Receptor-"), ("AMD3100 100 nM", "AMD3100 200 nM"), ("inside", "outside"),
    ("siCXCR4a", "siCXCR4b"), ("wt", "kt"), ("day 1.5", "day 2.5"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_name_typed_in_two_ways(one, other):
    assert are_alike(one, other)
    assert are_alike(other, one)


@pytest.mark.parametrize(("one", "other"), TWO)
def test_two_names(one, other):
    assert not are_alike(one, other)
    assert not are_alike(other, one)


def test_every_column_that_decides_what_is_counted_together_is_looked_at():
    layout = pd.DataFrame({
        "position": ["a", "b"], "condition": ["BTKi", "btki"], "donor": ["D1", "d1"], "plate": ["p1", "p1"],
        "notes": ["x", "X"],
    })  # fmt: skip
    assert [f.field for f in alike_names(layout)] == ["condition", "donor"]
    assert [f.field for f in alike_names(layout, distinct=["D1", "d1"])] == ["condition"]


@pytest.fixture
def folder(tmp_path):
    for name in ("vehicle/A1_f1", "BTKi/A2_f1"):
        write_movie(tmp_path / f"{name}.ome.tif", draw_movie([(60, 60, 40)], [(50, 50, 4), (15, 100, 4)], frames=2))
    text = "position,condition,donor\nvehicle/A1_f1,vehicle,D1\nBTKi/A2_f1,BTKi,d1\n"
    (tmp_path / "layout.csv").write_text(text, encoding="utf-8")
    return tmp_path


def call(*args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code


def test_check_run_and_report_ask_whether_two_donors_are_one(folder, tmp_path, capfd):
    asked = "donor 'D1' and donor 'd1' are almost the same name and count as two donors"
    assert call("check", folder) == 0
    said = capfd.readouterr().out
    assert f"warning: layout: {asked}" in said
    assert "2 donors (d1, D1)" in said or "2 donors (D1, d1)" in said
    assert call("check", folder, "--json") == 0
    assert [f["field"] for f in json.loads(capfd.readouterr().out) if f["code"] == "names_alike"] == ["donor"]
    out = tmp_path / "out"
    assert call("run", folder, "-o", out, "--strict") == 2
    assert asked in capfd.readouterr().err
    assert not out.exists()
    assert call("run", folder, "-o", out, "--workers", 1) == 0
    assert [f["code"] for f in json.loads((out / "run.json").read_text())["design_findings"]] == ["names_alike"]
    page = (out / "report.html").read_text()
    assert "are almost the same name and count as two donors" in page


def test_names_stated_to_be_distinct_are_not_asked_about(folder, capfd):
    assert call("check", folder) == 0
    remedy = capfd.readouterr().out.partition("if they are two, set ")[2].partition(" in [experiment]")[0]
    (folder / "experiment.toml").write_text(f"[experiment]\n{remedy}\n")
    assert call("check", folder) == 0
    assert "almost the same name" not in capfd.readouterr().out
