"""Simulated experiments on disk: an input folder and its truth, the same bytes for the same seed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cicimage.cli.simulate import simulate
from cicimage.errors import ConfigurationError
from cicimage.experiment import load_experiment
from cicimage.masks import decode_runs
from cicimage.recording import open_recording
from cicimage.simulation.field import simulate_field
from cicimage.simulation.layout import experiment_toml, plan_fields
from cicimage.simulation.scenarios import PRESETS, SAMPLE
from cicimage.simulation.write import write_experiment
from cicimage.tables import DRIFT, conform

TINY = SAMPLE.replace(
    name="tiny", acquisition__size_px=64, acquisition__frames=3, acquisition__slices=5, guests__count=8,
    acquisition__axial_scale=1.25,
)  # fmt: skip


def digest(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_experiment(TINY, tmp_path_factory.mktemp("a") / "made", 7)


def test_same_seed_same_bytes(written, tmp_path):
    out, truth = write_experiment(TINY, tmp_path / "made", 7)
    assert digest(out) == digest(written[0])
    assert digest(truth) == digest(written[1])


@pytest.mark.slow
def test_workers_change_nothing(written, tmp_path):
    told = []
    out, truth = write_experiment(TINY, tmp_path / "made", 7, workers=2, progress=lambda *news: told.append(news))
    assert digest(out) == digest(written[0])
    assert digest(truth) == digest(written[1])
    assert len(told) == 9


def test_another_seed_makes_another_experiment(written, tmp_path):
    one = TINY.replace(conditions=[TINY.conditions[0].model_dump()], design__donors=1)
    out, _ = write_experiment(one, tmp_path / "made", 8)
    name = "vehicle/w1_f1.ome.tif"
    assert (out / name).read_bytes() != (written[0] / name).read_bytes()


def test_the_folder_is_an_experiment(written):
    experiment = load_experiment(written[0])
    assert len(experiment.positions) == 9
    assert {p.donor for p in experiment.positions} == {"D1", "D2", "D3"}


def test_the_recording_carries_its_metadata(written):
    recording = open_recording(written[0] / "BTKi + CXCR4 antagonist" / "w2_f1.ome.tif")
    meta = recording.metadata
    assert (recording.sizes["T"], recording.sizes["Z"]) == (3, 5)
    assert list(meta.channel_names) == ["Host", "Guest", "Death"]
    assert meta.um_per_px == pytest.approx(1.05)
    assert meta.um_per_z == pytest.approx(1.5 / 1.25)  # the stage step
    assert meta.frame_interval_s == pytest.approx(420.0)
    assert (meta.na, meta.immersion, meta.modality) == (0.95, "air", "confocal")


def test_pixels_on_disk_are_the_fields(written):
    plan = plan_fields(TINY, 7)[4]
    field = simulate_field(
        TINY, 7, plan.condition, log_effect=plan.log_effect, position=plan.position, stream=plan.stream
    )
    recording = open_recording(written[0] / f"{plan.position}.ome.tif")
    assert np.array_equal(recording.plane(2, 1, 3), field.frame(2)[1, 3])


def test_truth_tables(written):
    folder = written[1] / "BTKi" / "w1_f1"
    guests, hosts = pd.read_parquet(folder / "guests.parquet"), pd.read_parquet(folder / "hosts.parquet")
    assert set(guests["position"]) == {"BTKi/w1_f1"}
    assert set(guests.loc[guests["host_id"] > 0, "host_id"]) <= set(hosts["host_id"])
    drift = conform(DRIFT, pd.read_parquet(folder / "drift.parquet"))
    assert drift.loc[0, ["dy_um", "dx_um"]].tolist() == [0.0, 0.0]
    masks = pd.read_parquet(folder / "masks.parquet")
    row = masks[masks["population"] == "host"].iloc[0]
    assert decode_runs(row["runs"], (row["h"], row["w"])).any()
    events = pd.read_csv(folder / "events.csv")
    assert {"position", "condition", "guest_id", "host_id", "contact_h", "start_h", "entry_h", "end_h", "end_reason",
            "score"} <= set(events.columns)  # fmt: skip


def test_the_summary_adds_up(written):
    summary = json.loads((written[1] / "scenario.json").read_text())
    assert summary["seed"] == 7
    assert summary["scenario"]["rates"]["entry_per_contact_h"] == TINY.rates.entry_per_contact_h
    assert len(summary["positions"]) == 9
    guests = pd.read_parquet(written[1] / "vehicle" / "w1_f1" / "guests.parquet")
    alive = guests[guests["viability"] != "dead"]
    hours = summary["positions"]["vehicle/w1_f1"]["hours_alive"]
    assert sum(hours.values()) == pytest.approx(len(alive) * 7 / 60, abs=1e-4)
    vehicle = summary["conditions"]["vehicle"]
    positions = [v for k, v in summary["positions"].items() if k.startswith("vehicle/")]
    assert vehicle["entries"] == sum(p["entries"] for p in positions)


def test_donors_share_their_effect_across_conditions():
    plans = plan_fields(SAMPLE.replace(design__donor_condition_sd=0.0, design__well_sd=0.0, design__donor_sd=1.0), 1)
    effects = {}
    for p in plans:
        effects.setdefault(p.donor, set()).add(round(p.log_effect, 9))
    assert all(len(e) == 1 for e in effects.values())
    assert len(set.union(*effects.values())) == 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_valid_experiment_file(name):
    from cicimage.experiment.schema import parse

    model = parse(experiment_toml(PRESETS[name]))
    assert model.experiment.reference == PRESETS[name].conditions[0].name
    assert len({p.position for p in plan_fields(PRESETS[name], 1)}) == len(plan_fields(PRESETS[name], 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_renders(name):
    preset = PRESETS[name]
    small = preset.replace(acquisition__size_px=72, acquisition__frames=2, guests__count=8)
    field = simulate_field(small, 1, preset.conditions[-1].name)
    frame = field.frame(1)
    assert frame.shape == (len(preset.channels), preset.acquisition.slices, 72, 72)
    assert frame[0].max() > preset.acquisition.offset + 10
    assert field.masks_in(1)["host"]


def test_fates_of_hosts_are_written_where_there_are_any(tmp_path, written):
    assert not (written[1] / "BTKi" / "w1_f1" / "hosts.csv").exists()
    mortal = TINY.replace(
        conditions=[TINY.conditions[0].model_dump()], design__donors=1, hosts__death_per_h=3.0,
        hosts__divisions_per_h=2.0, acquisition__frames=12,
    )  # fmt: skip
    _, truth = write_experiment(mortal, tmp_path / "made", 1)
    fates = pd.read_csv(truth / "vehicle" / "w1_f1" / "hosts.csv", keep_default_na=False)
    assert {"death"} <= set(fates["gone_reason"]) <= {"death", "division", ""}
    died = fates[fates["gone_reason"] == "death"].astype({"dying_h": float, "dead_h": float, "release_h": float})
    assert (died["dying_h"] < died["dead_h"]).all()
    assert (died["dead_h"] <= died["release_h"]).all()


@pytest.mark.slow
def test_sample_data_are_what_their_command_makes():
    """Pixels and truth of one field, as far as another processor's rounding lets them be the same."""
    folder = Path(__file__).parents[2] / "sample_data" / "cxcr4_blockade"
    if not folder.exists():
        pytest.skip("sample_data is not installed")
    plan = plan_fields(SAMPLE, 1)[3]
    field = simulate_field(
        SAMPLE, 1, plan.condition, log_effect=plan.log_effect, position=plan.position, stream=plan.stream
    )
    recording = open_recording(folder / f"{plan.position}.ome.tif")
    kept = np.stack([recording.plane(19, c, 3) for c in range(3)])
    assert (kept == field.frame(19)[:, 3]).mean() > 0.999
    truth = pd.read_parquet(folder.with_name("cxcr4_blockade_truth") / plan.position / "guests.parquet")
    pd.testing.assert_frame_equal(truth, field.guests, atol=1e-6)


def test_the_six_nulls_leave_entry_alone():
    nulls = [s for n, s in PRESETS.items() if n.startswith("null-")]
    assert len(nulls) == 6
    assert all(c.entry == 1.0 for s in nulls for c in s.conditions)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"notes\.txt; name another folder"):
        write_experiment(TINY, tmp_path, 1)
    (tmp_path / "notes.txt").rename(tmp_path / "experiment.toml")
    with pytest.raises(ConfigurationError, match=r"experiment\.toml"):
        write_experiment(TINY, tmp_path, 1)


def test_replace_names_the_nearest_field():
    with pytest.raises(ConfigurationError, match="did you mean 'count'"):
        SAMPLE.replace(guests__cuont=3)
    with pytest.raises(ConfigurationError, match="did you mean 'vehicle'"):
        SAMPLE.condition("vehicel")


def test_command_lists_presets_and_names_the_nearest():
    listed = CliRunner().invoke(simulate, ["--list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in PRESETS)
    wrong = CliRunner().invoke(simulate, ["sampel", "-o", "x"])
    assert isinstance(wrong.exception, ConfigurationError)
    assert "did you mean 'sample'" in str(wrong.exception)


def test_command_writes_what_is_asked(tmp_path):
    done = CliRunner().invoke(simulate, ["sample-2d", "-o", str(tmp_path / "x"), "--scale", "0.2", "--frames", "2"])
    assert done.exit_code == 0, done.output
    assert "[2/2] BTKi/w1_f1" in done.output
    assert "2 recordings in" in done.output
    recording = open_recording(tmp_path / "x" / "BTKi" / "w1_f1.ome.tif")
    assert recording.sizes["T"] == 2


def test_ome_zarr_holds_the_same_movies(written, tmp_path):
    out, truth = write_experiment(TINY, tmp_path / "made", 7, suffix=".ome.zarr")
    assert digest(truth) == digest(written[1])
    tiffs = load_experiment(written[0])
    zarrs = load_experiment(out)
    assert [p.position for p in zarrs.positions] == [p.position for p in tiffs.positions]
    with open_recording(tiffs.positions[0].path) as a, open_recording(zarrs.positions[0].path) as b:
        assert dict(a.sizes) == dict(b.sizes)
        assert all(np.array_equal(a.frame(t), b.frame(t)) for t in range(a.sizes["T"]))
        for name in ("um_per_px", "um_per_z", "frame_interval_s", "channel_names"):
            assert getattr(a.metadata, name) == pytest.approx(getattr(b.metadata, name)), name
        assert a.metadata.na == zarrs.file.optics.na, "the format has no place for the objective, the file says it"
    with pytest.raises(ConfigurationError, match="a folder of its own"):
        write_experiment(TINY, out, 7)
