"""Every kind of edit: frozen, and checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from cicimage.errors import ResultsError
from cicimage.review.edits.edit import Decision, Edit
from cicimage.review.edits.exclusions import ExcludeFrames, ExcludeHost, ExcludePosition
from cicimage.review.edits.masks import EraseMask, Evidence, MaskEdit, MergeMasks, PaintMask, Patch, SplitMask
from cicimage.review.edits.states import SetDeath, SetEnd, SetEntry, SetLocation, SetViability
from cicimage.review.edits.tracks import BreakTrack, DeleteTrack, LinkTracks, MergeTracks, SplitTrack, SwapTracks
from cicimage.review.edits.verdicts import CALLED_INSIDE, AddEvent, Note, Verdict

AnyEdit = Annotated[
    Verdict | AddEvent | Note | SetEntry | SetEnd | SetDeath | SetLocation | SetViability
    | LinkTracks | BreakTrack | SplitTrack | SwapTracks | MergeTracks | DeleteTrack
    | PaintMask | EraseMask | SplitMask | MergeMasks | ExcludePosition | ExcludeHost | ExcludeFrames,
    Field(discriminator="kind"),
]  # fmt: skip
_ADAPTER: Final[TypeAdapter[Any]] = TypeAdapter(AnyEdit)


def parse_edit(fields: Mapping[str, Any]) -> Edit:
    """Read an edit from its record.

    Raises
    ------
    ResultsError
        No edit this program knows.
    """
    try:
        edit: Edit = _ADAPTER.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise ResultsError(
            f"edit {fields.get('kind')!r}: {where or 'kind'} {first['msg'].lower()}; "
            "the log was written by another version, open it with that one"
        ) from None
    return edit


__all__ = [
    "CALLED_INSIDE", "AddEvent", "BreakTrack", "Decision", "DeleteTrack", "Edit", "EraseMask", "Evidence",
    "ExcludeFrames", "ExcludeHost", "ExcludePosition", "LinkTracks", "MaskEdit", "MergeMasks", "MergeTracks", "Note",
    "PaintMask", "Patch", "SetDeath", "SetEnd", "SetEntry", "SetLocation", "SetViability", "SplitMask", "SplitTrack",
    "SwapTracks", "Verdict", "parse_edit",
]  # fmt: skip
