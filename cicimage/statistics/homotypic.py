"""Tumour cell in tumour cell: what two mixed colours show of it."""

from __future__ import annotations

from cicimage.errors import CicimageError


def visible_share(first_colour_share: float) -> float:
    """Share of homotypic pairs that are two-coloured when two colours are mixed at random, 2 p (1 - p).

    Parameters
    ----------
    first_colour_share : float
        Share of cells with the first colour, between 0 and 1.

    Raises
    ------
    CicimageError
        A share that is not strictly between 0 and 1: then no pair can be seen.

    Notes
    -----
    Mixing is not random where sisters stay together: sister pairs are of one colour, so that fewer pairs are visible
    than this and a rate divided by it is still too low.

    Examples
    --------
    >>> visible_share(0.5)
    0.5
    >>> round(visible_share(0.2), 2)
    0.32
    """
    if not 0.0 < first_colour_share < 1.0:
        raise CicimageError(
            f"two colours: the share of the first must lie between 0 and 1, got {first_colour_share}; count "
            "both colours"
        )
    return 2.0 * first_colour_share * (1.0 - first_colour_share)
