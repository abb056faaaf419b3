"""The analysis on arrays: each step alone, on images, masks and tracks of any origin, and all of them in one call.

Images are numpy arrays (or anything that indexing turns into one), masks are label images or
:class:`cicimage.masks.Masks` where cells overlap, and what is measured comes back as :class:`pandas.DataFrame` with
the columns of :mod:`cicimage.tables`.
"""

from cicimage.api.containment import measure_containment, measure_death
from cicimage.api.scoring import rates, score
from cicimage.api.segmentation import segment_guests, segment_hosts
from cicimage.api.tracking import track
from cicimage.api.whole import Analysis, run

__all__ = [
    "Analysis",
    "measure_containment",
    "measure_death",
    "rates",
    "run",
    "score",
    "segment_guests",
    "segment_hosts",
    "track",
]
