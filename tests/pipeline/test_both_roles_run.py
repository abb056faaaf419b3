"""A whole run of one population in both roles: cells within cells are found and told from those on top."""

from pathlib import Path

import pytest

from cicimage.batch.plan import open_batch
from cicimage.evaluation.evaluate import Evaluation, evaluate
from cicimage.evaluation.load import load_results, load_truth
from cicimage.experiment import load_experiment
from cicimage.pipeline.position import run_position
from cicimage.simulation.scenarios import HOMOTYPIC
from cicimage.simulation.write import write_experiment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    root: Path = tmp_path_factory.mktemp("both")
    scenario = HOMOTYPIC.replace(
        acquisition__size_px=170, acquisition__frames=6, guests__count=12, effectors__count=0, guests__inside_share=0.6,
        guests__speed_um_per_min=0.3, design__donors=1, hosts__coverage=0.8,
        conditions=[HOMOTYPIC.conditions[0].model_dump()],
    )  # fmt: skip
    folder, truth = write_experiment(scenario, root / "in", 515)
    for job in open_batch(load_experiment(folder / "experiment.toml"), root / "out").jobs:
        assert run_position(job, lambda *_: None)["outcome"] == "done"
    return evaluate(load_results(root / "out"), load_truth(truth))


def test_every_cell_is_found(held: Evaluation):
    assert held.score("detection", "recall") > 0.9
    assert held.score("detection", "precision") > 0.8


def test_cells_within_cells_are_told(held: Evaluation):
    assert held.score("inside", "recall") > 0.7
    assert held.score("inside", "precision") > 0.8


def test_what_holds_others_is_not_called_inside(held: Evaluation):
    decoys = held.tables["decoys"].query("condition == 'all'").set_index("decoy")
    assert decoys.loc["host", "frames"] > 20
    assert decoys.loc["host", "called_inside"] == 0
