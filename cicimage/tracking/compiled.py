"""Compiled loops: cached on disk where the disk lets us, so that only the first run ever waits for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop with numba; division by zero gives inf or NaN as in numpy."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no folder that can be written: compile anew in every process
        return cast(F, numba.njit(nogil=True, error_model="numpy")(function))
