"""The Qt binding installed can be worked with for hours."""

import sys

import pytest

pytest.importorskip("napari", reason='napari not installed; pip install ".[napari]"')


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_calls_that_return_nothing_keep_their_references(screen):
    """PySide6 6.12.0 drops one each time; after some minutes of clicking the interpreter aborts."""
    from qtpy.QtWidgets import QApplication, QLabel

    application = QApplication.instance() or QApplication([])
    label = QLabel()
    before = sys.getrefcount(None)
    for _ in range(500):
        label.setText("x")
    assert sys.getrefcount(None) > before - 100
    assert application is not None
