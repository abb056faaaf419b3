import json

import pandas as pd
import pytest

from cicimage import tables
from cicimage.cli import main
from cicimage.store import Results, write_json, write_table

FAST = ["--donors", "3,6", "--wells", "1", "--hours", "24", "--sims", "50"]


def _run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["plan", *arguments])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def _results(folder):
    """A finished folder of two conditions and three donors, as far as a plan reads it."""
    design, rows = {}, []
    for condition, factor in (("vehicle", 1.0), ("btki", 2.5)):
        for donor, mean in (("D1", 20), ("D2", 60), ("D3", 30)):
            position = f"{condition}/{donor}_f1"
            design[position] = {
                "condition": condition, "replicate": donor, "donor": donor, "host_donor": "", "experiment": "",
                "plate": "", "time_zero_h": 0.0, "path": "", "factors": {},
            }  # fmt: skip
            rows.append({
                "estimand": "entry_rate_per_guest_h", "condition": condition, "donor": donor, "experiment": "",
                "replicate": donor, "events": mean * factor, "exposure_h": 2400.0, "denominator": 2400.0, "unit": "1/h",
                "n_guests": 100, "n_hosts": 20, "n_positions": 1, "n_replicates": 1, "n_donors": 1, "method": "",
                "note": "",
            })  # fmt: skip
    results = Results(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(results.run, {"design": design, "configuration": {"experiment": {"reference": "vehicle"}}})
    write_table(results.table("rates_by_replicate"), tables.conform(tables.RATES_BY_REPLICATE, pd.DataFrame(rows)))
    frames = pd.DataFrame({
        "position": [p for p in design for _ in range(2)], "frame": [0, 1] * 6, "time_h": [0.0, 24.0] * 6,
        "guest_id": 1, "label": 1, "observed": True, "y_um": 0.0, "x_um": 0.0, "location": "free", "contact": "none",
        "viability": "alive", "host_id": 0, "p_inside": 0.0,
    })  # fmt: skip
    write_table(results.table("frames"), tables.conform(tables.FRAMES, frames))
    return folder


def test_from_a_rate(capsys, tmp_path):
    code, out, _ = _run(capsys, "--rates", "0.02", "--ratio", "0.3", *FAST, "-o", str(tmp_path / "plan"))
    assert code == 0
    assert "SDs are defaults" in out
    assert "power to find a ratio of 0.3" in out
    table = pd.read_csv(tmp_path / "plan" / "plan.csv")
    assert table["donors"].tolist() == [3, 6]
    assert table["power"].between(0, 1).all()
    assert (tmp_path / "plan" / "plan.svg").read_text("utf-8").startswith("<svg")


def test_from_results(capsys, tmp_path):
    code, out, _ = _run(capsys, str(_results(tmp_path / "out")), *FAST)
    assert code == 0
    assert "from 3 donor pairs" in out
    assert "100 guests at risk per well" in out
    assert (tmp_path / "out" / "plan.csv").exists()


def test_spreads_can_be_given(capsys):
    code, out, _ = _run(capsys, "--rates", "0.02", "--sd-interaction", "0.1", *FAST)
    assert code == 0
    assert "given: sd_interaction 0.1" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "got both or neither"),
        (["--rates", "0"], "--rates must be above 0"),
        (["--rates", "0.1", "--donors", "three"], "--donors must be numbers with commas"),
        (["--rates", "0.1", "--ratio", "1"], "ratio must be an effect"),
        (["--rates", "0.1", "--donors", "1"], "designs need 2 donors"),
    ],
)
def test_what_makes_no_plan_is_said_in_one_sentence(capsys, arguments, said):
    code, _, err = _run(capsys, *arguments)
    assert code == 2
    assert said in err


def test_a_folder_that_is_no_result(capsys, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({}))
    code, _, err = _run(capsys, str(tmp_path))
    assert code == 5
    assert "must be a finished results folder" in err
