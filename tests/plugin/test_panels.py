"""Run, Rates, Compare, reader and sample data; the manifest; the key map."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason='napari not installed; pip install ".[napari]"')
pytest.importorskip("pyqtgraph", reason='pyqtgraph not installed; pip install ".[napari]"')

from conftest import settle, wait_for
from small_world import movie_path, world, write_results

from cicimage.errors import ConfigurationError
from cicimage.experiment import load_experiment
from cicimage.review.log import reviewers
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names
from cicimage.store import Results


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels") / "out"
    return write_results(folder, {"a": world(), "b": world(condition="btki")}, movies=True)


@pytest.fixture
def results(untouched, tmp_path):
    """A copy of its own for every test; the recordings stay where they are."""
    return Results(Path(shutil.copytree(untouched.root, tmp_path / "out")))


@pytest.fixture
def experiment(tmp_path, untouched):
    root = tmp_path / "movies"
    (root / "vehicle").mkdir(parents=True)
    shutil.copy(movie_path(untouched.root, "vehicle/a"), root / "vehicle" / "w1_f1.tif")
    (root / "experiment.toml").write_text(
        'schema_version = 1\n[channels]\nhost = 0\nguest = 1\n[optics]\nna = 0.95\nimmersion = "air"\n'
        'modality = "confocal"\n[populations]\n'.replace("[populations]\n", "")
    )
    return root


def judged(results, who, reject=(), finish=True):
    with Session.open(results, who) as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            wrong = item.candidate.guest_id in reject and item.candidate.call == "event"
            session.do(verdict_on(session.position(item.candidate.position), item, "reject" if wrong else "accept"))
        if finish:
            session.finish()


# ---------------------------------------------------------------- how napari finds it


def test_the_manifest_is_valid_and_all_it_names_is_there():
    import npe2

    manifest = npe2.PluginManifest.from_distribution("cicimage")
    manifest.validate_imports()
    assert [w.display_name for w in manifest.contributions.widgets] == ["Run", "Review", "Rates", "Compare"]
    assert manifest.contributions.readers
    assert manifest.contributions.sample_data


def test_importing_the_plugin_is_light():
    import subprocess
    import sys

    program = (
        "import cicimage_napari, cicimage_napari.reader, cicimage_napari.sample, cicimage_napari.launch, sys; "
        "sys.exit(any(m in sys.modules for m in ('napari', 'PySide6', 'pyqtgraph', 'pandas', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ---------------------------------------------------------------- reading


def test_a_recording_is_read_channel_by_channel(untouched):
    from cicimage_napari.reader import get_reader, read_recording

    path = movie_path(untouched.root, "vehicle/a")
    assert get_reader(str(path)) is not None
    layers = read_recording(path)
    assert [kind for _, _, kind in layers] == ["image"] * 3
    data, options, _ = layers[1]
    assert data.shape == (16, 5, 96, 96)
    assert options["scale"] == (1.0, 1.0, 0.5, 0.5)
    np.testing.assert_array_equal(data[3, 2], np.asarray(data[3])[2])
    assert data[2:4].shape == (2, 5, 96, 96)
    assert data[..., 0, 0].shape == (16, 5)


def test_a_results_folder_is_read_with_its_masks_under_names_that_tell_nothing(results, viewer):
    from cicimage_napari.reader import get_reader

    layers = get_reader(str(results.root))(None)
    assert [o["name"] for _, o, _ in layers] == ["signal 0", "signal 1", "signal 2", "hosts", "guests"]
    hosts = layers[3][0]
    assert hosts.shape == (16, 5, 96, 96)
    assert set(np.unique(hosts[0, 0])) == {0, 1, 2}
    for data, options, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **options)
    settle()
    assert get_reader(str(results.root / "positions")) is None
    assert get_reader("notes.txt") is None


@pytest.mark.slow
def test_the_sample_opens_through_napari(viewer, monkeypatch, tmp_path):
    from cicimage_napari import sample

    monkeypatch.setattr(sample.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("cicimage.cli.demo.SAMPLE", tmp_path / "nothing")
    layers = sample.sample_recording()
    assert len(layers) >= 2
    assert layers[0][0].shape[0] == 12


# ---------------------------------------------------------------- Run


def test_forms_come_from_the_methods_own_fields(viewer, experiment):
    from cicimage_napari.run_panel import RunPanel
    from qtpy.QtWidgets import QDoubleSpinBox

    panel = RunPanel(viewer)
    panel.open_source(experiment)
    assert "1 recordings" in panel._facts.text()
    score = panel.forms["score"]
    field = score._fields["persistence_min"]
    assert isinstance(field, QDoubleSpinBox)
    assert (field.minimum(), field.value()) == (0.0, 10.0)
    assert field.toolTip()
    assert score.choice().options == {}
    field.setValue(20.0)
    assert score.choice().options == {"persistence_min": 20.0}
    from cicimage_napari.settings_file import write_settings

    path = write_settings(panel.experiment, panel.settings())
    again = load_experiment(path)
    assert again.file.choices()["score"].options == {"persistence_min": 20.0}
    assert [p.position for p in again.positions] == ["vehicle/w1_f1"]


def test_a_wrong_folder_is_said(viewer, tmp_path):
    from cicimage_napari.run_panel import RunPanel

    panel = RunPanel(viewer)
    panel.open_source(tmp_path)
    assert "no recording fits the pattern" in panel.said
    panel.run()
    assert "choose the recordings" in panel.said


def test_a_frame_is_previewed(viewer, experiment):
    from cicimage_napari.run_panel import RunPanel

    panel = RunPanel(viewer)
    panel.open_source(experiment)
    panel._frame.setValue(2)
    panel.preview()
    wait_for(lambda: "preview found guest" in [layer.name for layer in viewer.layers] or "frame" not in panel.said)
    names = [layer.name for layer in viewer.layers]
    assert names == ["preview host", "preview guest", "preview found host", "preview found guest"] or panel.said
    assert panel.said.startswith("frame 2: ")


@pytest.mark.slow
def test_a_run_shows_progress_and_can_be_reviewed(viewer, experiment, tmp_path):
    from cicimage_napari.run_panel import RunPanel

    panel = RunPanel(viewer)
    panel.open_source(experiment)
    panel._out.setText(str(tmp_path / "out"))
    panel.run()
    assert not panel.run_button.isEnabled()
    wait_for(panel.run_button.isEnabled, 180)
    assert panel.review_button.isEnabled(), panel.said
    assert panel._bar.value() == 1
    assert (tmp_path / "out" / "rates.csv").exists()


@pytest.mark.slow
def test_a_run_can_be_cancelled(viewer, experiment, tmp_path):
    from cicimage_napari.run_panel import RunPanel

    panel = RunPanel(viewer)
    panel.open_source(experiment)
    panel._out.setText(str(tmp_path / "out"))
    panel.run()
    settle(0.5)
    panel.cancel()
    wait_for(panel.run_button.isEnabled)
    assert "stopped" in panel.said


# ---------------------------------------------------------------- Rates


def test_rates_follow_the_corrections_and_wait_for_blinded_eyes(viewer, results):
    from cicimage_napari.rates_panel import RatesPanel
    from cicimage_napari.review_panel import ReviewPanel

    review = ReviewPanel(viewer)
    viewer.window.add_dock_widget(review, name="Review")
    review.open_folder(results.root, "anna")
    panel = RatesPanel(viewer)
    assert "blind" in panel._words.text()
    assert panel.tables == {}
    assert panel._table.rowCount() == 0
    review.desk.session.unblind()
    event = next(i for i in review.desk.queue if i.candidate.call == "event" and i.candidate.counts)
    review.desk.go(event.id)
    review.act("reject")
    panel.follow()
    wait_for(lambda: "corrected" in panel.tables, 60)
    column = panel.tables["corrected"]["rates"].set_index(["estimand", "condition"])["events"]
    before = panel.tables["base"]["rates"].set_index(["estimand", "condition"])["events"]
    assert column["entry_rate_per_guest_h"].sum() == before["entry_rate_per_guest_h"].sum() - 1
    assert panel._table.rowCount() == 2
    review.leave()
    panel.close()


def test_rates_without_a_review_are_shown(viewer, results):
    from cicimage_napari.rates_panel import RatesPanel

    panel = RatesPanel(viewer)
    panel.open_folder(results.root)
    wait_for(lambda: bool(panel.tables), 60)
    assert set(panel.tables) == {"base"}
    panel._estimand.setCurrentText("Share of guests inside at the end")
    assert panel._table.rowCount() == 2


# ---------------------------------------------------------------- Compare


def test_two_reviewers_are_compared_and_settled(viewer, results):
    from cicimage_napari.compare_panel import ComparePanel
    from cicimage_napari.review_panel import open_panels

    judged(results, "anna")
    judged(results, "ben", reject=(11,), finish=False)
    panel = ComparePanel(viewer)
    panel.open_folder(results.root)
    panel.compare()
    assert "ben has not declared the review finished" in panel.said
    with Session.open(results, "ben") as session:
        session.finish()
    panel.compare()
    assert "Cohen's kappa" in panel.said
    assert panel._list.count() == 2
    panel.settle()
    review = next(p for p in open_panels() if p.desk is not None and p.desk.session.reviewer == "adjudicated")
    assert len(review.desk.queue) == 2
    review.act("accept")
    review.leave()
    assert reviewers(results.root)[-1] == "adjudicated"


# ---------------------------------------------------------------- keys


def test_keys_can_be_changed_and_a_clash_is_said(tmp_path):
    from cicimage_napari.keys import DEFAULTS, KeyMap

    path = tmp_path / "keys.toml"
    assert KeyMap.load(path).keys["accept"] == "A"
    path.write_text('[keys]\naccept = "F"\n')
    assert KeyMap.load(path).keys["accept"] == "F"
    path.write_text('[keys]\naccept = "R"\n')
    with pytest.raises(ConfigurationError, match="key 'R' must do one thing, does accept and reject"):
        KeyMap.load(path)
    path.write_text('[keys]\nacept = "F"\n')
    with pytest.raises(ConfigurationError, match="no action 'acept'; did you mean 'accept'"):
        KeyMap.load(path)
    html = KeyMap.load(tmp_path / "none").as_html()
    assert all(what in html for _, _, what in DEFAULTS.values())


def test_the_command_opens_what_it_is_told_and_says_what_does_not_fit(results, monkeypatch):
    import napari
    from cicimage_napari import launch

    monkeypatch.setattr(napari, "run", lambda: None)
    launch.open_review(results, reviewer="anna")
    viewer = napari.current_viewer()
    assert viewer.title == "cicimage review"
    viewer.close()
    with Session.open(results, "anna"):
        pass
    assert Path(results.root / "review" / "anna.jsonl").exists()
