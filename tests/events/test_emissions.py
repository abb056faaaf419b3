"""Tables of log-odds, and the parameter file they live in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cicimage.errors import ConfigurationError
from cicimage.events.emissions import CLASSES, DEPTHS, EmissionModel, EvidenceTable, derive, hat_basis
from cicimage.events.parameters import STATE_CLASSES, load_parameters, parse_parameters, write_parameters
from cicimage.methods import Optics


def _model() -> EmissionModel:
    odds = np.zeros((2, len(CLASSES)))
    odds[1, CLASSES.index("inside")] = 4.0
    return EmissionModel(np.zeros(len(CLASSES)), (EvidenceTable("floor_um", np.array([0.0, 1.0]), odds, 0.3),))


def test_between_knots_the_odds_are_linear_and_beyond_constant() -> None:
    basis = hat_basis(np.array([-5.0, 0.0, 0.5, 1.0, 7.0]), np.array([0.0, 1.0]))
    assert basis[:, 1].tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_evidence_counts_less_the_larger_its_error_and_missing_not_at_all() -> None:
    rows = pd.DataFrame({"floor_um": [1.0, 1.0, 1.0, np.nan], "floor_um_se": [0.0, 0.3, 50.0, np.inf]})
    p = np.exp(_model().log_likelihood(rows))[:, CLASSES.index("inside")]
    assert p[0] > p[1] > p[2]
    assert p[2] == pytest.approx(1 / len(CLASSES), abs=1e-3)
    assert p[3] == pytest.approx(1 / len(CLASSES))


def test_clearance_and_speed_are_derived() -> None:
    rows = derive(pd.DataFrame({"guest_bottom_um": [3.0], "host_top_um": [1.0], "speed_um_per_min": [0.98]}))
    assert rows["clearance_um"].item() == 2.0
    assert rows["log_speed"].item() == pytest.approx(0.0)


def test_built_in_parameters_read_back_as_written() -> None:
    parameters = load_parameters()
    again = parse_parameters(write_parameters(parameters), "again")
    np.testing.assert_allclose(again.chain.generator, parameters.chain.generator, rtol=1e-3)
    for a, b in zip(again.regimes, parameters.regimes, strict=True):
        assert a.name == b.name
        for s, t in zip(a.emissions.tables, b.emissions.tables, strict=True):
            np.testing.assert_allclose(s.log_odds, t.log_odds, atol=5e-3, rtol=5e-3)
    assert parameters.provenance["made_by"] == "benchmarks/fit_scorer.py"


def test_rates_of_every_state_sum_to_zero() -> None:
    generator = load_parameters().chain.generator
    np.testing.assert_allclose(generator.sum(axis=1), 0.0, atol=1e-12)
    assert (generator - np.diag(np.diag(generator)) >= 0).all()


def test_a_regime_is_chosen_by_its_blur() -> None:
    parameters = load_parameters()
    assert parameters.regime_for(1.5).name == "fine"
    assert parameters.regime_for(2.8).name == "coarse"
    assert parameters.regime_for(None).name == "flat"


def test_a_confocal_slice_has_tables_of_its_own_and_an_unknown_microscope_counts_as_widefield() -> None:
    parameters = load_parameters()
    assert parameters.regime_for(None, sections=True).name == "plane"
    assert parameters.regime_for(1.5, sections=True).name == "fine"
    named = {m: Optics(0.65, modality=m).sections for m in ("confocal", "spinning_disk", "widefield", None)}
    assert named == {"confocal": True, "spinning_disk": True, "widefield": False, None: False}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schema_version = 9", "schema_version must be 2, is 9"),
        ("schema_version = 2", r"needs at least one \[regime"),
        ("nonsense", "not valid TOML"),
        ("schema_version = 2\n[chain.start]\nfre = 1\n[regime.a.offset]\n" + "\n".join(f"{c} = 0" for c in CLASSES),
         "did you mean 'free'"),
        ("schema_version = 2\n[chain.start]\nfree = 1\n[regime.a.offset]\nfree = 0", "class 'lateral' is missing"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_remedy(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_parameters(text, "mine.toml")


def test_a_file_that_knew_one_depth_of_cup_still_reads() -> None:
    odds = {"free": 0, "lateral": 0, "on_top": 0, "under": 0, "between": 0, "cup_top": 1, "cup_under": 2, "inside": 3}
    table = "\n".join(f"log_odds.{c} = [0, {v}]" for c, v in odds.items())
    text = (
        "schema_version = 1\n[chain.start]\nentering_top_late = 1\n[regime.a.offset]\n"
        + "\n".join(f"{c} = 0" for c in odds) + f"\n[regime.a.evidence.void]\nknots = [0, 1]\n{table}\n"
    )  # fmt: skip
    read = parse_parameters(text, "mine.toml")
    last = dict(zip(CLASSES, read.regimes[0].emissions.tables[0].log_odds[1], strict=True))
    assert [last[f"cup_top_{d}"] for d in DEPTHS] == [1, 1, 1]
    assert [last[f"cup_under_{d}"] for d in DEPTHS] == [2, 2, 2]
    assert last["inside"] == 3
    assert read.chain.states == load_parameters().chain.states
    assert np.array_equal(read.chain.generator, load_parameters().chain.generator)


def test_an_entry_deepens_phase_by_phase_and_takes_its_time() -> None:
    chain = load_parameters().chain
    looks = [STATE_CLASSES[f"entering_under_{k}"][0] for k in range(1, 7)]
    assert looks == [f"cup_under_{d}" for d in DEPTHS for _ in range(2)]
    inside = [s.startswith("inside") for s in chain.states]
    start = chain.states.index("entering_under_1")
    by_5, by_20, by_60 = (chain.transition(m / 60)[start][inside].sum() for m in (5, 20, 60))
    assert by_5 < 0.02
    assert 0.3 < by_20 < 0.6
    assert by_60 > 0.5, "all but those that ebbed, and short stays that are over"


def test_knots_and_values_must_agree() -> None:
    text = write_parameters(load_parameters()).replace("knots = [-0.4, 0,", "knots = [-0.5, -0.4, 0,", 1)
    with pytest.raises(ConfigurationError, match="one value per knot"):
        parse_parameters(text, "mine.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_parameters(str(tmp_path / "none.toml"))
