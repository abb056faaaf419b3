"""cicimage: cell-in-cell events in live-cell recordings, from folders of movies to rates per condition.

In a notebook::

    import cicimage as cic

    result = cic.open_results("OUT")
    result.rates
    cic.figures.superplot(result)

On arrays::

    result = cic.run(movie, "TCYX", channels={"host": 0, "guest": 1}, optics={"um_per_px": 0.65, ...})
    result.frames
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cicimage.version import __version__

if TYPE_CHECKING:
    from cicimage import figures
    from cicimage.api import (
        Analysis,
        measure_containment,
        measure_death,
        rates,
        run,
        score,
        segment_guests,
        segment_hosts,
        track,
    )  # fmt: skip
    from cicimage.masks import Masks
    from cicimage.methods import Optics
    from cicimage.results import OpenResults, open_results

_HOME = {
    "OpenResults": "results", "open_results": "results", "Masks": "masks", "Optics": "methods",
    **dict.fromkeys(
        ("Analysis", "measure_containment", "measure_death", "rates", "run", "score", "segment_guests",
         "segment_hosts", "track"), "api",
    ),
}  # fmt: skip

__all__ = [
    "Analysis", "Masks", "OpenResults", "Optics", "__version__", "figures", "measure_containment", "measure_death",
    "open_results", "rates", "run", "score", "segment_guests", "segment_hosts", "track",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load the public names when asked for: the command line's help needs none of them."""
    if name == "figures":
        return import_module("cicimage.figures")
    if name in _HOME:
        return getattr(import_module(f"cicimage.{_HOME[name]}"), name)
    raise AttributeError(f"module 'cicimage' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
