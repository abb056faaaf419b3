"""A reviewer who knows the truth of a simulation, and errs as people do.

He looks at one item of the queue, and answers with the keys a person has: accept, reject, entry here, end here, or a
stretch of the band painted. Where the optics can tell he sees the opposite of the truth in 5 % of his looks, each time
anew: a slip. Where they cannot, in 30 % of the items, and then at every look alike: the picture misleads him.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.evaluation.matching import match_guests
from cicimage.evaluation.sides import Truth
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Edit
from cicimage.review.queue import Item
from cicimage.review.response import end_at, entry_at, guest_of, host_of, located, verdict_on

ERRS: Final = 0.05
ERRS_BLIND: Final = 0.30
THIN_UM: Final = 0.3
"""Host above or below a guest thinner than this is below every axial resolution."""
LOOK_AROUND: Final = 4
"""Frames before and after an item that are seen in the film."""
GAP: Final = 3
"""Frames outside within a stay that are painted out; shorter gaps are left."""

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """What is true of one guest: frames (ascending), inside or not, and whether the optics could tell."""

    frame: npt.NDArray[np.int64]
    inside: Bool
    clear: Bool

    def between(self, first: int, last: int) -> Seen:
        """The same for some frames."""
        at = (self.frame >= first) & (self.frame <= last)
        return Seen(self.frame[at], self.inside[at], self.clear[at])


def true_sight(
    frames: Mapping[str, pd.DataFrame], names: Mapping[str, str], truth: Truth, separable: Mapping[str, bool]
) -> dict[tuple[str, int], Seen]:
    """Truth of every guest found, by opaque name of its position and its id; what is no guest is nowhere inside."""
    found: dict[tuple[str, int], Seen] = {}
    for key, rows in frames.items():
        mine = rows.assign(position=names[key]).reset_index(drop=True)
        true = truth.frames[truth.frames["position"] == names[key]].reset_index(drop=True)
        pairs = match_guests(mine, true)
        inside, clear = np.zeros(len(mine), np.bool_), np.full(len(mine), separable[key])
        at, of = pairs["row_result"].to_numpy(), pairs["row_truth"].to_numpy()
        inside[at] = (true["location"] == "inside").to_numpy()[of]
        thin = np.minimum(true["cap_um"].to_numpy(), true["floor_um"].to_numpy()) < THIN_UM
        clear[at] &= ~(thin & (true["location"] == "inside").to_numpy())[of]
        clear &= (mine["location"] != "unresolved").to_numpy()
        order = np.lexsort((mine["frame"], mine["guest_id"]))
        guest, frame = mine["guest_id"].to_numpy()[order], mine["frame"].to_numpy()[order]
        cuts = [0, *(np.flatnonzero(np.diff(guest)) + 1).tolist(), len(guest)]
        for a, b in pairwise(cuts):
            if b > a:
                found[key, int(guest[a])] = Seen(frame[a:b], inside[order][a:b], clear[order][a:b])
    return found


def answer(
    corrected: Corrected, item: Item, seen: Seen, rng: np.random.Generator, who: int, *, slips: float = ERRS,
    misled: float = ERRS_BLIND,
) -> list[Edit]:  # fmt: skip
    """What reviewer number ``who`` says of an item; nothing where its guest is gone or it is a repeat."""
    c = item.candidate
    if item.drawn == "repeat" or not guest_of(corrected, item):
        return []
    here = seen.between(c.first, c.last)
    if here.clear.mean() >= 0.5:
        errs = bool(rng.random() < slips)
    else:
        errs = bool(np.random.default_rng([abs(who), int(item.id[:12], 16)]).random() < misled)
    return _on_event(corrected, item, seen, errs) if c.called_inside else _on_miss(corrected, item, here, errs)


def _on_event(corrected: Corrected, item: Item, seen: Seen, errs: bool) -> list[Edit]:
    c = item.candidate
    around = seen.between(c.first - LOOK_AROUND, c.last + LOOK_AROUND)
    stays = runs(around.frame, around.inside, GAP)
    stays = [s for s in stays if s[0] <= c.last and s[1] >= c.first and s[1] > s[0]]
    if bool(stays) == errs:  # there is none, or there is one and he does not see it
        return [verdict_on(corrected, item, "reject")]
    edits: list[Edit] = [verdict_on(corrected, item, "accept")]
    if errs:
        return edits
    span = (c.first, c.last)
    (first, last), entered = (stays[0][0], stays[-1][1]), c.call == "event"
    if entered and abs(first - c.first) > 1 and first <= c.last:
        edits.append(entry_at(corrected, item, span, first))
    if abs(last - c.last) > 1 and last >= c.first:
        edits.append(end_at(corrected, item, span, last))
    for (_, a), (b, _) in pairwise(stays):
        edits.append(located(corrected, item, (a + 1, b - 1), "attached"))
    return edits


def _on_miss(corrected: Corrected, item: Item, here: Seen, errs: bool) -> list[Edit]:
    c, host = item.candidate, host_of(corrected, item)
    stays = [s for s in runs(here.frame, here.inside, 1) if s[1] > s[0]]
    covered = sum(b - a + 1 for a, b in stays) / max(len(here.frame), 1)
    if errs:
        stays, covered = ([], 0.0) if stays else ([(c.first, c.last)], 1.0)
    if c.call == "unresolved" and not stays:
        return [located(corrected, item, (c.first, c.last), "attached")]
    if not stays:
        return [verdict_on(corrected, item, "accept")]
    if not host:
        return []
    if covered > 0.8 and c.call != "unresolved":
        return [verdict_on(corrected, item, "reject")]
    return [located(corrected, item, stay, "inside", host=host) for stay in stays]


def runs(frame: npt.NDArray[np.int64], state: Bool, gap: int) -> list[tuple[int, int]]:
    """First and last frames of the stretches in which a state holds; gaps shorter than ``gap`` frames are bridged.

    Examples
    --------
    >>> runs(np.arange(8), np.array([0, 1, 1, 0, 1, 0, 0, 1], bool), 2)
    [(1, 4), (7, 7)]
    """
    held = frame[state]
    if not len(held):
        return []
    cuts = np.flatnonzero(np.diff(held) > gap) + 1
    return [(int(part[0]), int(part[-1])) for part in np.split(held, cuts)]
