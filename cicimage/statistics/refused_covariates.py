"""Covariates of a hazard model that fake an effect, and are refused."""

from __future__ import annotations

from typing import Final

from cicimage.errors import CicimageError

REFUSED: Final = {
    "ever_inside": "a guest must live long enough to enter, so those who did look hardy (a hazard ratio of about 0.43 "
    "appears where 1 is true); use 'inside', which changes with time",
    "protected": "it names a conclusion, not a covariate; use 'inside', which changes with time",
}


def check_covariate(name: str) -> None:
    """Refuse covariates that fake an effect.

    Raises
    ------
    CicimageError
        ``ever_inside`` or ``protected``, with the reason.
    """
    if name in REFUSED:
        raise CicimageError(f"covariate {name!r} is refused: {REFUSED[name]}")
