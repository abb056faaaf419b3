"""Results open in a notebook as the docs say."""

import re
from pathlib import Path

import pandas as pd
import pytest

import cicimage as cic
from cicimage.errors import ResultsError
from cicimage.store import write_json, write_table
from cicimage.tables import RATES, conform, empty

DOC = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")


def test_a_folder_without_results_is_said(tmp_path):
    with pytest.raises(ResultsError, match="must be a results folder"):
        cic.open_results(tmp_path)


def test_tables_are_attributes_and_unknown_ones_are_said(tmp_path):
    write_json(tmp_path / "run.json", {"schema_version": 1, "positions": {"a/w1": "p0001"}})
    write_table(tmp_path / "rates.parquet", conform(RATES, empty(RATES)))
    result = cic.open_results(tmp_path)
    assert isinstance(result.rates, pd.DataFrame)
    assert result.positions == ["a/w1"]
    assert "1 position>" in repr(result)
    assert "rates" in dir(result)
    with pytest.raises(AttributeError, match="results have no table 'rate'"):
        _ = result.rate
    with pytest.raises(KeyError):
        result["events"]
    with pytest.raises(AttributeError, match="no attribute 'open_result'"):
        _ = cic.open_result


@pytest.mark.slow
def test_the_example_of_the_docs_runs(tmp_path, monkeypatch):
    from cicimage.batch import open_batch, run_batch
    from cicimage.experiment import load_experiment
    from cicimage.report.assemble import rebuild
    from tests.conftest import draw_movie, write_movie

    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", draw_movie([(60, 60, 40)], [(50, 50, 4)], frames=4))
    (tmp_path / "in" / "experiment.toml").write_text('[experiment]\nname = "x"\n')
    monkeypatch.chdir(tmp_path)
    batch = open_batch(load_experiment(tmp_path / "in"), tmp_path / "OUT")
    assert run_batch(batch).exit_code == 0
    rebuild(batch.results)
    (code,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    exec(code, {})  # noqa: S102 - the very text of the docs
    assert (tmp_path / "entry_rate.pdf").exists()
