"""The Review panel as a user meets it: open, step, judge by keys, move, paint, merge, undo, close, reopen."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason='napari not installed; pip install ".[napari]"')
pytest.importorskip("pyqtgraph", reason='pyqtgraph not installed; pip install ".[napari]"')

from cicimage_napari.outlines import OWN_GUEST
from conftest import settle
from small_world import STORIES, movie_path, world, write_results

from cicimage.review.anchor import mask_hash
from cicimage.review.desk import Desk
from cicimage.review.log import log_path, read_log
from cicimage.review.session import Session
from cicimage.store import Results, read_json, write_json

DRUG = "Zz_secret_drug"


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    return write_results(
        tmp_path_factory.mktemp("review") / "out", {"a": world(), "b": world(condition=DRUG)}, movies=True
    )


@pytest.fixture
def results(untouched, tmp_path):
    """A copy of its own for every test; the recordings stay where they are."""
    return Results(Path(shutil.copytree(untouched.root, tmp_path / "out")))


@pytest.fixture
def panel(viewer, results):
    from cicimage_napari.review_panel import ReviewPanel

    made = ReviewPanel(viewer)
    viewer.window.add_dock_widget(made, name="Review", area="right")
    made.open_folder(results.root, "anna")
    settle()
    yield made
    made.leave()


def press(panel, key, modifiers=None):
    """A key press on the canvas, where a layer would take it."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    canvas = panel.viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, key, modifiers or Qt.KeyboardModifier.NoModifier)
    settle(0.02)


def kinds(panel):
    return [e.kind for _, e in panel.desk.session.edits()]


def item_of(desk, guest, call="event", key="p0001"):
    return next(
        i for i in desk.queue
        if i.candidate.guest_id == guest and i.candidate.call == call and i.candidate.position == key
        and i.drawn != "repeat"
    )  # fmt: skip


def test_it_opens_on_the_first_item_with_two_label_layers(panel):
    desk = panel.desk
    assert desk.item.id == desk.queue[0].id
    names = [layer.name for layer in panel.viewer.layers]
    assert names == ["host signal", "guest signal", "death signal", "hosts", "guests", "path"]
    guests = panel.viewer.layers["guests"]
    keys = [k for k in desk.corrected.draft.objects_of("guest", desk.guest) if k.frame == desk.frame]
    if keys:
        assert (np.asarray(guests.data) == OWN_GUEST).any()
    assert panel.viewer.layers["guest signal"].data.max() > 250
    assert "Called:" in panel._call.text()


def test_an_item_that_is_right_takes_one_key(panel):
    from qtpy.QtCore import Qt

    panel.viewer.layers.selection.active = panel.viewer.layers["guests"]
    first = panel.desk.item
    press(panel, Qt.Key.Key_A)
    assert panel.desk.progress.judged == {first.id: "accept"}
    assert panel.desk.item.id != first.id


def test_keys_reach_the_review_with_a_label_layer_active(panel):
    """In napari 1 to 4 choose a label layer's tools and M takes a new label: here they are the review's."""
    from qtpy.QtCore import Qt

    layer = panel.viewer.layers["guests"]
    panel.viewer.layers.selection.active = layer
    panel.desk.go(item_of(panel.desk, 12, "under").id)
    mode, label = layer.mode, layer.selected_label
    press(panel, Qt.Key.Key_4)
    assert kinds(panel) == ["location"]
    press(panel, Qt.Key.Key_M)
    assert (layer.mode, layer.selected_label) == (mode, label)
    assert panel.said == "two guests are needed: click the other one first"
    frame = panel.desk.frame
    press(panel, Qt.Key.Key_Period)
    assert panel.desk.frame == frame + 1
    press(panel, Qt.Key.Key_G)
    assert not layer.visible


def test_text_fields_keep_their_keys(panel):
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QLineEdit

    line = QLineEdit(panel)
    line.show()
    panel.window().show()
    line.setFocus()
    settle(0.1)
    if not line.hasFocus():
        pytest.skip("this screen gives no window the focus")
    QTest.keyClicks(line, "art")
    assert line.text() == "art"
    assert kinds(panel) == []


def test_undo_and_redo_by_keys_and_after_reopening(panel, results):
    from qtpy.QtCore import Qt

    first = panel.desk.item
    press(panel, Qt.Key.Key_R)
    if kinds(panel) == []:  # the first item may be one that cannot be rejected
        press(panel, Qt.Key.Key_A)
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert kinds(panel) == []
    assert panel.desk.item.id == first.id
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert kinds(panel) == ["verdict"]
    panel.leave()
    panel.open_folder(results.root, "anna")
    assert kinds(panel) == ["verdict"]
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert kinds(panel) == []


def test_it_goes_on_where_it_was_left(panel, results):
    panel.act("accept")
    panel.act("next")
    here = panel.desk.item.id
    panel.leave()
    panel.open_folder(results.root, "anna")
    assert panel.desk.item.id == here


def test_entry_end_and_death_are_set_by_key_and_by_dragging(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    desk.look_at(7)
    panel.act("entry")
    assert desk.lines()["entry"] == 7
    panel.traces.moved.emit("end", 10)
    assert desk.lines() == {"entry": 7, "end": 10}
    assert panel.traces._lines["end"].value() == 10
    desk.look_at(9)
    panel.act("death")
    assert desk.lines()["death"] == 9
    assert desk.verdict() == "set"


def test_the_band_chooses_frames_and_paints(panel):
    desk = panel.desk
    desk.go(item_of(desk, 12, "under").id)
    panel.traces.chosen.emit(8, 11, True)
    assert desk.span == (8, 11)
    panel._take_brush("unresolved")
    panel.traces.chosen.emit(9, 10, True)
    assert desk.rows().set_index("frame").loc[9:10, "location"].tolist() == ["unresolved"] * 2


def test_a_stroke_becomes_a_patch_and_the_evidence_is_measured_anew(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    layer = panel.viewer.layers["guests"]
    key = next(k for k in desk.corrected.draft.objects_of("guest", 11) if k.frame == desk.frame)
    before = desk.corrected.draft.mask(key)
    panel.tools._tool("paint")
    assert layer.selected_label == OWN_GUEST
    y, x = (round(c) for c in before.centroid_px())
    layer.brush_size = 5
    layer.paint((y - panel.stage.box.y0 + 4, x - panel.stage.box.x0), OWN_GUEST)
    settle()
    assert kinds(panel) == ["paint"]
    (_, edit), = desk.session.edits()  # fmt: skip
    assert edit.measured_on == "recording"
    assert edit.pairs
    after = desk.corrected.draft.mask(key)
    assert after.area_px > before.area_px
    assert desk.rows().set_index("frame").at[desk.frame, "area_um2"] == pytest.approx(after.area_px * 0.25)
    panel.act("undo")
    assert mask_hash(desk.corrected.draft.mask(key)) == mask_hash(before)
    assert (np.asarray(layer.data) == OWN_GUEST).sum() == before.area_px


def test_the_brush_stays_with_its_cell(panel):
    """Labels are numbered anew in every frame: the brush must follow the cell, not the number."""
    desk = panel.desk
    desk.go(item_of(desk, 13, "unresolved").id)
    layer = panel.viewer.layers["guests"]
    panel.tools._tool("paint")
    for frame in (4, 5, 6):
        desk.look_at(frame)
        assert layer.selected_label == OWN_GUEST
    desk.look_at(2)  # not seen in this frame: a new object
    number = layer.selected_label
    assert number != OWN_GUEST
    assert not (np.asarray(layer.data) == number).any()
    layer.brush_size = 5
    layer.paint((panel.stage.box.side // 2, panel.stage.box.side // 2), number)
    settle()
    assert kinds(panel) == ["paint"]
    keys = desk.corrected.draft.objects_of("guest", 13)
    assert 2 in [k.frame for k in keys]
    panel.act("next")
    assert layer.mode == "pan_zoom"


def test_tracks_are_merged_with_the_cell_clicked(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    other = next(k for k in desk.corrected.draft.objects_of("guest", 15) if k.frame == 2)
    desk.look_at(2)
    y, x = (round(c) for c in desk.corrected.draft.mask(other).centroid_px())
    assert panel.stage.cell_at(y, x) == ("guest", 15)
    panel._on_click(*panel.stage.cell_at(y, x))
    panel.act("merge")
    assert kinds(panel) == ["merge"]
    assert desk.corrected.draft.objects_of("guest", 15) == []
    panel.act("link")
    assert panel.said


def test_a_cancelled_or_impossible_edit_leaves_a_sentence_and_nothing_else(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    desk.look_at(0)
    panel.act("split")
    assert "must lie behind the track's first frame" in panel.said
    assert kinds(panel) == []


def test_the_film_goes_to_the_frame_clicked_and_marks_it(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    frames = desk.film()
    assert len(frames) == 9
    assert desk.current.candidate.focus in frames
    panel.film.chosen.emit(frames[-1])
    assert desk.frame == frames[-1]


def test_side_views_are_shown_for_stacks(panel):
    assert not panel.sections._views["xz"].pixmap().isNull()
    assert "XZ" in panel.sections._words["xz"].text()


def test_nothing_on_the_screen_tells_condition_or_well(panel):
    """Window title, layer names and metadata, every text and tip of every widget."""
    from qtpy.QtWidgets import QWidget

    for _ in range(len(panel.desk.queue)):
        texts = [panel.viewer.title, panel.viewer.window._qt_window.windowTitle(), panel.window().statusTip()]
        for layer in panel.viewer.layers:
            texts += [layer.name, str(layer.metadata), str(getattr(layer, "source", "")), str(layer.help)]
        for widget in panel.window().findChildren(QWidget):
            for name in ("text", "toolTip", "windowTitle", "title", "placeholderText", "objectName"):
                found = getattr(widget, name, None)
                texts.append(str(found()) if callable(found) else "")
        model = panel.queue.model
        texts += [str(model.data(model.index(n))) for n in range(model.rowCount())]
        joined = "\n".join(texts)
        assert DRUG not in joined
        assert "vehicle" not in joined
        assert "movies" not in joined
        panel.act("next")


def test_two_windows_two_reviewers_and_one_reviewer_twice(panel, results):
    with Session.open(results, "ben"):
        pass
    from cicimage_napari.review_panel import ReviewPanel

    second = ReviewPanel(panel.viewer)
    second.open_folder(results.root, "anna")
    assert "another window has this reviewer's log open" in second.said
    assert second.desk is None


def test_a_moved_recording_leaves_the_review_usable(viewer, tmp_path):
    from cicimage_napari.review_panel import ReviewPanel

    results = write_results(tmp_path / "out", {"a": world()})
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Review")
    panel.open_folder(results.root, "anna")
    assert "'Find recording' tells where it is" in panel.said
    panel.act("accept")
    assert kinds(panel) == ["verdict"]
    panel.leave()


def test_an_empty_queue_is_said(viewer, tmp_path):
    from cicimage_napari.review_panel import ReviewPanel

    results = write_results(tmp_path / "out", {"a": world(guests={15: ("f", 1)})})
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Review")
    panel.open_folder(results.root, "anna")
    assert "the queue is empty" in panel.said
    panel.act("accept")
    assert "the queue is empty" in panel.said
    panel.leave()


def test_unsure_comes_back_and_the_end_is_reached(panel):
    desk = panel.desk
    total = len(desk.queue)
    panel.act("unsure")
    for _ in range(total + 2):
        if desk.progress.next == "":
            break
        panel.act("accept")
    assert desk.progress.next == ""
    assert set(desk.progress.judged.values()) == {"accept"}


def test_what_was_done_is_in_the_log(panel, results):
    panel.act("accept")
    panel.leave()
    records = read_log(log_path(results.root, "anna")).records
    assert [r.kind for r in records if r.kind in ("header", "edit")] == ["header", "edit"]
    desk = Desk.open(results, "anna")
    assert len(desk.progress.judged) == 1
    desk.close()
    assert set(STORIES)


def test_a_mask_is_split_and_joined_again(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    draft, key = desk.corrected.draft, desk.corrected.draft.object_in("guest", 11, desk.frame)
    before = draft.mask(key)
    panel.tools._split()
    assert kinds(panel) == ["split_mask"]
    draft = desk.corrected.draft
    new = next(k for k in draft.keys_in("guest", desk.frame) if draft.base.row(k) < 0)
    assert draft.mask(key).area_px + draft.mask(new).area_px == before.area_px
    panel.tools._join()
    assert panel.said.startswith("two cells of one kind are needed")
    panel._on_click("guest", draft.cell_of(new))
    panel.tools._join()
    assert kinds(panel) == ["split_mask", "merge_masks"]
    joined = desk.corrected.draft
    assert mask_hash(joined.mask(key)) == mask_hash(before)
    assert not joined.exists(new)


def test_a_host_is_split_where_it_is_clicked(panel):
    desk = panel.desk
    desk.go(item_of(desk, 11).id)
    panel._on_click("host", 2)
    panel.tools._split()
    (_, edit), = desk.session.edits()  # fmt: skip
    assert (edit.kind, edit.population) == ("split_mask", "host")


def test_exclusions_ask_for_a_reason(panel, monkeypatch):
    from qtpy.QtWidgets import QInputDialog

    monkeypatch.setattr(QInputDialog, "getItem", lambda *a: (a[3][2], True))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: (" ", True))
    panel.tools._exclude()
    assert kinds(panel) == []
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("out of focus", True))
    panel.tools._exclude()
    (_, edit), = panel.desk.session.edits()  # fmt: skip
    assert (edit.kind, edit.reason) == ("exclude_frames", "out of focus")


def test_the_question_mark_shows_all_keys(panel):
    from cicimage_napari.keys import DEFAULTS
    from qtpy.QtWidgets import QMessageBox

    panel.act("help")
    box = panel.findChild(QMessageBox)
    assert all(what in box.text() for _, _, what in DEFAULTS.values())
    box.close()
    box.deleteLater()


def test_a_damaged_log_is_a_sentence_and_nothing_is_lost(panel, results):
    panel.act("accept")
    panel.act("accept")
    panel.leave()
    path = log_path(results.root, "anna")
    damaged = path.read_bytes().replace(b'"accept"', b'"reject"', 1)
    path.write_bytes(damaged)
    panel.open_folder(results.root, "anna")
    assert "--salvage" in panel.said
    assert panel.desk is None
    assert path.read_bytes() == damaged


def test_a_full_disk_is_a_sentence_and_the_item_stays_open(panel, monkeypatch):
    from cicimage.review.log import ReviewLog
    from cicimage.store import DiskFullError

    def full(*_):
        raise DiskFullError("review/anna.jsonl: the disk is full; everything before is kept")

    here = panel.desk.item.id
    with monkeypatch.context() as patch:
        patch.setattr(ReviewLog, "append", full)
        panel.act("accept")
        assert "the disk is full" in panel.said
        assert (panel.desk.item.id, panel.desk.judged) == (here, {})
    panel.act("accept")
    assert panel.desk.judged == {here: "accept"}


def test_a_recording_is_found_again_and_a_wrong_one_refused(viewer, untouched, tmp_path, monkeypatch):
    from cicimage_napari.review_panel import ReviewPanel
    from qtpy.QtWidgets import QFileDialog

    results = Results(Path(shutil.copytree(untouched.root, tmp_path / "out")))
    run = read_json(results.run)
    for entry in run["design"].values():
        entry["path"] = str(tmp_path / "gone" / Path(entry["path"]).name)
    write_json(results.run, run)
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Review")
    panel.open_folder(results.root, "anna")
    assert panel.said == "the recording of this field is not where it was; 'Find recording' tells where it is"
    movies = {"p0001": movie_path(untouched.root, "vehicle/a"), "p0002": movie_path(untouched.root, f"{DRUG}/b")}
    other = tmp_path / "other.tif"
    shutil.copy(movies["p0001"], other)
    with other.open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"changed!")
    key = panel.desk.corrected.base.position_id
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(other), ""))
    panel.tools._find()
    assert "holds other bytes; choose the right file" in panel.said
    assert not panel.viewer.layers["guest signal"].data.any()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(movies[key]), ""))
    panel.tools._find()
    assert panel.said == ""
    assert panel.viewer.layers["guest signal"].data.max() > 250
    assert read_json(results.root / "review" / "moved.json") == {panel.desk.corrected.base.position: str(movies[key])}


def test_a_recording_that_cannot_be_read_is_said_without_its_path(viewer, untouched, tmp_path):
    from cicimage_napari.review_panel import ReviewPanel

    results = Results(Path(shutil.copytree(untouched.root, tmp_path / "out")))
    run = read_json(results.run)
    for entry in run["design"].values():
        entry["path"] = str(results.run)
    write_json(results.run, run)
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Review")
    panel.open_folder(results.root, "anna")
    assert "cannot be read, masks and evidence are shown without it" in panel.said
    assert str(tmp_path) not in panel.said
    panel.act("accept")
    assert kinds(panel) == ["verdict"]
