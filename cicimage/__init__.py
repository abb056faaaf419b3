"""cicimage: cell-in-cell events in live-cell recordings, from folders of movies to rates per condition.

In a notebook::

    import cicimage as cic

    result = cic.open_results("OUT")
    result.rates
    cic.figures.superplot(result)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cicimage import figures
    from cicimage.results import OpenResults, open_results

__all__ = ["OpenResults", "__version__", "figures", "open_results"]


def __getattr__(name: str) -> Any:
    """Load the notebook's names when asked for: the command line's help needs none of them."""
    if name == "figures":
        return import_module("cicimage.figures")
    if name in {"OpenResults", "open_results"}:
        return getattr(import_module("cicimage.results"), name)
    raise AttributeError(f"module 'cicimage' has no attribute {name!r}")
