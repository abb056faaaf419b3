"""Names of objects and of pairs of objects, and the error of an edit that does not fit."""

from __future__ import annotations

from typing import NamedTuple

from cicimage.errors import CicimageError


class ReviewError(CicimageError):
    """An edit that does not fit what is there; nothing was changed."""


class Key(NamedTuple):
    """One object: its population, frame and label."""

    population: str
    frame: int
    label: int


class PairKey(NamedTuple):
    """Evidence of one guest object against one host object."""

    frame: int
    guest_label: int
    host_label: int
