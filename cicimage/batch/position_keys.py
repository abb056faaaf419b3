"""Opaque keys of positions, which reveal neither condition nor order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping


def assign_keys(known: Mapping[str, str], positions: Iterable[str]) -> dict[str, str]:
    """Give each position an opaque key; known ones keep theirs.

    New positions are numbered in the order of their hash: neither a key nor its place may reveal the condition.

    Parameters
    ----------
    known : mapping of str to str
        Keys given before, by position.
    positions : iterable of str
        All positions of the experiment.

    Returns
    -------
    dict
        Key by position, such as p0001; known positions first.
    """
    keys = dict(known)
    free = max((int(k[1:]) for k in keys.values()), default=0) + 1
    new = sorted((p for p in positions if p not in keys), key=lambda p: hashlib.sha256(p.encode()).hexdigest())
    for n, position in enumerate(new, start=free):
        keys[position] = f"p{n:04d}"
    return keys
