"""Track edits, mask tools and exclusions behind the buttons of the Review panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton

from cicimage.masks import Mask
from cicimage.review.anchor import CellRef, cell_ref
from cicimage.review.cutting import join, split
from cicimage.review.desk import Desk
from cicimage.review.edits import (
    BreakTrack,
    DeleteTrack,
    ExcludeFrames,
    ExcludeHost,
    ExcludePosition,
    LinkTracks,
    MergeTracks,
    SplitTrack,
    SwapTracks,
)
from cicimage.review.keys import Key, ReviewError
from cicimage.review.pictures import Pictures
from cicimage.review.response import host_of
from cicimage_napari.buttons import plain_button
from cicimage_napari.stage import Stage


class EditingPanel(Protocol):
    """What the tools need of their panel, which is also the parent of their dialogs."""

    desk: Desk | None
    stage: Stage | None
    pictures: Pictures | None

    def say(self, sentence: str) -> None:
        """Show a sentence."""

    def attempt(self, do: Callable[[], Any]) -> None:
        """Run an action; show the sentence of an error."""

    def paint(self, population: str, changed: Mapping[int, Mask | None], kind: str) -> None:
        """Record changed masks as an edit.

        Parameters
        ----------
        population, changed, kind
            As :meth:`cicimage_napari.review_panel.ReviewPanel.paint` takes them.
        """

    def hear(self, what: str) -> None:
        """Update the screen after a change of the desk."""


class TrackTools:
    """Builds edits from the guest on the screen and the cell clicked.

    Parameters
    ----------
    panel : EditingPanel
        The panel whose desk is edited.
    """

    def __init__(self, panel: EditingPanel) -> None:
        self._panel = panel

    # ------------------------------------------------------------ tracks

    def acts(self, desk: Desk) -> Mapping[str, Callable[[], Any]]:
        """The function behind each track key."""
        key = desk.corrected.base.position_id
        return {
            "merge": lambda: desk.do(MergeTracks(position=key, first=_own(desk), second=_other(desk))),
            "swap": lambda: desk.do(SwapTracks(position=key, first=_own(desk), second=_other(desk), frame=desk.frame)),
            "link": lambda: desk.do(_linked(desk)),
            "split": lambda: desk.do(SplitTrack(position=key, cell=_own(desk), frame=desk.frame)),
            "break": lambda: desk.do(BreakTrack(position=key, cell=_own(desk), frame=desk.frame)),
            "delete": lambda: desk.do(
                DeleteTrack(position=key, cell=_own(desk), first=0, last=desk.corrected.base.n_frames - 1)
            ),
        }

    # ------------------------------------------------------------ masks

    def buttons(self) -> list[QPushButton]:
        """Buttons of the mask tools, exclusions and the end of the review."""
        return [
            plain_button("Brush", "Paint the guest (or the host clicked) in this frame", lambda: self._tool("paint")),
            plain_button("Eraser", "Take pixels from the guest (or the host clicked)", lambda: self._tool("erase")),
            plain_button("Hand", "Lay the brush down; clicks choose cells", lambda: self._tool("pan_zoom")),
            plain_button(
                "Split mask", "The mask of the guest (or of the host clicked) was two cells in this frame", self._split
            ),
            plain_button(
                "Join masks", "The guest and the guest clicked, or host and host clicked, are one in this frame",
                self._join,
            ),
            plain_button("Exclude...", "Leave out this field, host or these frames, with a reason", self._exclude),
            plain_button("Find recording...", "Say where the recording lies now", self._find),
            plain_button("Finish...", "Declare the review done, or see the conditions", self._finish),
        ]  # fmt: skip

    def _tool(self, mode: str) -> None:
        panel = self._panel
        if panel.desk is None or panel.stage is None:
            return
        desk = panel.desk
        population, cell = _meant(desk)
        panel.stage.tool(population, mode, cell)
        if mode != "pan_zoom":
            what = "the guest" if population == desk.corrected.base.guest else "the host clicked"
            seen = desk.corrected.draft.object_in(population, cell, desk.frame) is not None
            panel.say(f"{mode}: {what}" + ("" if seen else ", which was not seen in this frame"))

    def _split(self) -> None:
        panel = self._panel
        if panel.desk is not None:
            desk = panel.desk
            panel.attempt(lambda: panel.paint(*_split(desk), "split_mask"))

    def _join(self) -> None:
        panel = self._panel
        if panel.desk is not None:
            desk = panel.desk
            panel.attempt(lambda: panel.paint(*_joined(desk), "merge_masks"))

    def cells_of_new(self, desk: Desk, population: str, changed: Mapping[int, Mask | None]) -> dict[int, CellRef]:
        """Cell that a newly painted object belongs to.

        Parameters
        ----------
        desk : Desk
            With an item.
        population : str
            Population painted.
        changed : mapping of int to Mask or None
            Masks after the stroke by label.

        Returns
        -------
        dict of int to CellRef
            Label of the new object to the item's guest, or its host, if that cell has no object in this frame; else
            empty, and the object begins a cell of its own.
        """
        draft, frame = desk.corrected.draft, desk.frame
        base = draft.base
        cell = desk.guest if population == base.guest else desk.host
        new = [n for n in changed if not draft.exists(Key(population, frame, n))]
        if not new or not cell or any(k.frame == frame for k in draft.objects_of(population, cell)):
            return {}
        return {new[0]: cell_ref(draft, population, cell, [frame])}

    # ------------------------------------------------------------ the rest

    def _exclude(self) -> None:
        panel = self._panel
        if panel.desk is None:
            return
        desk = panel.desk
        first, last = desk.span
        kinds = ["this field", "this host", f"frames {first} to {last} of this field"]
        kind, ok = QInputDialog.getItem(panel, "Exclude", "What should not count?", kinds, 0, False)
        if not ok:
            return
        reason, ok = QInputDialog.getText(panel, "Exclude", "Why? It is shown in the report.")
        if ok and reason.strip():
            panel.attempt(lambda: desk.do(_exclusion(desk, kinds.index(kind), reason.strip())))

    def _find(self) -> None:
        panel = self._panel
        if panel.desk is None or panel.pictures is None:
            return
        name, _ = QFileDialog.getOpenFileName(panel, "Where is the recording of this field?")
        if name:
            base, pictures = panel.desk.corrected.base, panel.pictures
            panel.attempt(lambda: pictures.footage(base, Path(name)))
            panel.hear("item")

    def _finish(self) -> None:
        panel = self._panel
        if panel.desk is None:
            return
        session = panel.desk.session
        box = QMessageBox(panel)
        box.setWindowTitle("Finish")
        box.setText(
            "Finished: the other reviewer may be compared with you.\n"
            "Conditions: you see them in Rates; later verdicts are marked as not blind."
        )
        finish = box.addButton("I have finished", QMessageBox.ButtonRole.AcceptRole)
        unblind = box.addButton("Show me the conditions", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is finish:
            panel.attempt(session.finish)
            panel.say("declared as finished; any further edit opens the review again")
        elif box.clickedButton() is unblind:
            panel.attempt(session.unblind)
            panel.say("conditions may be seen now (Rates); it is logged, and later verdicts are marked")


def _meant(desk: Desk) -> tuple[str, int]:
    """Population and cell that mask tools work on: the host clicked, else the guest."""
    base = desk.corrected.base
    if desk.other is not None and desk.other[0] == base.host != base.guest:
        return desk.other
    return base.guest, desk.guest


def _seen(desk: Desk, population: str, cell: int) -> Mask:
    """Mask of a cell in the frame on the screen."""
    draft = desk.corrected.draft
    key = draft.object_in(population, cell, desk.frame)
    if key is None:
        raise ReviewError(f"{population} in frame {desk.frame}: must be seen there, is not; go to another frame")
    return draft.mask(key)


def _split(desk: Desk) -> tuple[str, dict[int, Mask | None]]:
    population, cell = _meant(desk)
    mask = _seen(desk, population, cell)
    larger, smaller = split(mask, desk.corrected.draft.next_label(population, desk.frame))
    return population, {larger.label: larger, smaller.label: smaller}


def _joined(desk: Desk) -> tuple[str, dict[int, Mask | None]]:
    base, other = desk.corrected.base, desk.other
    on_host = other is not None and other[0] == base.host != base.guest
    population, cell = (base.host, host_of(desk.corrected, desk.current)) if on_host else (base.guest, desk.guest)
    if other is None or other[0] != population or other[1] == cell:
        raise ReviewError("two cells of one kind are needed: click the other guest, or the other host, first")
    mask, gone = _seen(desk, population, cell), _seen(desk, population, other[1])
    return population, {mask.label: join(mask, gone), gone.label: None}


def _own(desk: Desk) -> CellRef:
    guest = desk.guest
    if not guest:
        raise ReviewError("the guest of this item was deleted; go on with the next item (J)")
    return cell_ref(desk.corrected.draft, desk.corrected.base.guest, guest, [desk.frame])


def _other(desk: Desk) -> CellRef:
    base = desk.corrected.base
    if desk.other is None or desk.other[0] != base.guest or desk.other[1] == desk.guest:
        raise ReviewError("two guests are needed: click the other one first")
    return cell_ref(desk.corrected.draft, base.guest, desk.other[1], [desk.frame])


def _linked(desk: Desk) -> LinkTracks:
    """Link the two in order of time, whichever was clicked."""
    draft = desk.corrected.draft
    base = draft.base
    _other(desk)
    own, other = desk.guest, desk.other[1] if desk.other else 0
    ids = sorted((own, other), key=draft.first_frame)
    ends = [draft.objects_of(base.guest, i) for i in ids]
    return LinkTracks(
        position=base.position_id,
        first=cell_ref(draft, base.guest, ids[0], [ends[0][-1].frame]),
        second=cell_ref(draft, base.guest, ids[1], [ends[1][0].frame]),
    )


def _exclusion(desk: Desk, kind: int, reason: str) -> Any:
    base = desk.corrected.base
    if kind == 0:
        return ExcludePosition(position=base.position_id, reason=reason)
    if kind == 1:
        if not desk.host:
            raise ReviewError("no host is near this guest; click the host first")
        host = cell_ref(desk.corrected.draft, base.host, desk.host, [desk.frame])
        return ExcludeHost(position=base.position_id, host=host, reason=reason)
    return ExcludeFrames(position=base.position_id, first=desk.span[0], last=desk.span[1], reason=reason)
