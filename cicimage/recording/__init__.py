"""Recordings: lazy T, C, Z, Y, X planes with units, one file per format, and the preflight gate.

Another package brings a format of its own by a subclass of :class:`Reader` (see :mod:`cicimage.recording.reader`).
"""

from cicimage.recording.foreign import choose_series
from cicimage.recording.opening import Preflight, is_there, open_recording, preflight, recording_files, series_names
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, Metadata, PlaneError, Recording

__all__ = [
    "DEFAULT_BUDGET_BYTES",
    "Listing",
    "Metadata",
    "PlaneError",
    "Preflight",
    "ReadOptions",
    "Reader",
    "Recording",
    "choose_series",
    "is_there",
    "open_recording",
    "preflight",
    "recording_files",
    "series_names",
]
