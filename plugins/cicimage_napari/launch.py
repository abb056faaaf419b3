"""Entry points of the review: from the command line and from napari's menu."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cicimage.store import Results


def open_review(
    results: Results, *, reviewer: str, adjudicate: tuple[str, str] | None = None, tolerance_frames: int = 1
) -> None:
    """Open napari on the first open item of the queue and wait until it is closed.

    Parameters
    ----------
    results : Results
        The folder.
    reviewer : str
        Whose log is written.
    adjudicate : (str, str), optional
        Two reviewers whose disputed items are to be settled instead.
    tolerance_frames : int
        Entry frames that differ by no more are not disputed.
    """
    desk = desk_of(results, reviewer=reviewer, adjudicate=adjudicate, tolerance_frames=tolerance_frames)
    # opened before the window: an error is reported on the command line, and no empty window appears
    try:
        import napari

        from cicimage_napari.review_panel import ReviewPanel

        viewer = napari.Viewer(title="cicimage review")
        panel = ReviewPanel(viewer)
        viewer.window.add_dock_widget(panel, name="Review", area="right")
        panel.show_desk(desk)
        napari.run()
    finally:
        desk.close()


def desk_of(
    results: Results, *, reviewer: str, adjudicate: tuple[str, str] | None = None, tolerance_frames: int = 1
) -> Any:
    """Open the desk of one reviewer, or of the adjudication between two.

    Parameters
    ----------
    results, reviewer, adjudicate, tolerance_frames
        As :func:`open_review` takes them; ``reviewer`` has no effect where ``adjudicate`` is given.

    Returns
    -------
    Desk
        Holds the lock on the reviewer's log until it is closed.

    Raises
    ------
    ResultsError
        The folder holds no results or cannot be written, or the log is damaged or open in another window.
    ConfigurationError
        One of the two reviewers does not exist or has not finished.
    """
    from cicimage.review.agreement import adjudicate as settle
    from cicimage.review.desk import Desk

    if adjudicate is None:
        return Desk.open(results, reviewer)
    session, items = settle(results, *adjudicate, tolerance_frames=tolerance_frames)
    return Desk.over(session, items)


def choose_results(viewer: Any = None) -> None:
    """Ask for a results folder and open the Review panel on it."""
    import napari
    from qtpy.QtWidgets import QFileDialog

    viewer = viewer or napari.current_viewer()
    if viewer is None:
        return
    _, panel = viewer.window.add_plugin_dock_widget("cicimage", "Review")
    folder = QFileDialog.getExistingDirectory(panel, "Results folder")
    if folder:
        panel.open_folder(Path(folder))
