"""Compilation of loops, cached on disk where that is writable, and repeated where the cache is damaged.

numba writes its cache beside the module without a sync: a machine that loses power leaves half a file, and every later
run would end in an ``EOFError`` until ``__pycache__`` is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast

import numba
from numba.core import caching

F = TypeVar("F", bound=Callable[..., Any])

DAMAGED: Final = (
    caching.pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError, LookupError,
    MemoryError, OverflowError, RuntimeError, AssertionError,
)  # fmt: skip
"""Errors that reading a truncated cache file raises."""


class SelfRepairingCache(caching.FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, emptied where it cannot be read."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load what was compiled for a signature.

        Parameters
        ----------
        sig, target_context
            As numba's :class:`FunctionCache` takes them.

        Returns
        -------
        object or None
            The compiled function; None where none is stored, or where the file is damaged (the cache is then emptied).
        """
        try:
            return super().load_overload(sig, target_context)
        except DAMAGED:
            self.flush()
            return None


def compiled(*, error_model: Literal["python", "numpy"] = "python") -> Callable[[F], F]:
    """Compile a loop with numba, so that only the first run ever waits for the compiler.

    Parameters
    ----------
    error_model : {"python", "numpy"}
        Whether a division by zero raises, or gives inf or NaN.
    """

    def decorate(function: F) -> F:
        loop = numba.njit(nogil=True, error_model=error_model)(function)
        try:
            loop._cache = SelfRepairingCache(loop.py_func)  # noqa: SLF001 - numba has no public way to replace the cache
        except RuntimeError:  # no writable folder: compile again in every process
            return cast(F, loop)
        return cast(F, loop)

    return decorate
