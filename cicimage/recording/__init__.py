"""Recordings: lazy T, C, Z, Y, X planes with units, one file per format, and the preflight gate."""

from cicimage.recording.opening import Preflight, is_there, open_recording, preflight, recording_files, series_names
from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, Metadata, PlaneError, Recording

__all__ = [
    "DEFAULT_BUDGET_BYTES",
    "Metadata",
    "PlaneError",
    "Preflight",
    "Recording",
    "is_there",
    "open_recording",
    "preflight",
    "recording_files",
    "series_names",
]
