"""States of a guest: their names, and which of them are outside or in contact with a host."""

from __future__ import annotations

from typing import Final

LOCATIONS: Final = ("free", "attached", "entering", "inside", "unresolved")
CONTACTS: Final = ("none", "on_top", "under", "lateral", "between", "unresolved")
VIABILITIES: Final = ("alive", "dying", "dead", "unknown")

TOUCHING: Final = ("attached", "entering")
"""Outside a host and in contact with one."""
OUTSIDE: Final = ("free", *TOUCHING)
"""Not inside a host; ``unresolved`` is neither outside nor inside."""
IN_CONTACT: Final = (*TOUCHING, "unresolved")
"""Counted as contact with a host: an unresolved guest lies over one."""
