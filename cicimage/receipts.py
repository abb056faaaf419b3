"""Receipts: the record that a position's run writes last, and its required keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cicimage.errors import ResultsError
from cicimage.store import PositionFolder, Results, read_json
from cicimage.tables import SCHEMA_VERSION

_RECEIPT: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    "done": {
        "key": str, "stages": dict, "seconds": (int, float), "peak_memory_bytes": int, "recording": dict,
        "missing_frames": dict,
    },
    "failed": {"key": str, "kind": str, "error": str, "seconds": (int, float), "peak_memory_bytes": int},
}  # fmt: skip
"""Required keys of a receipt and their types, by outcome."""


def read_receipt(path: Path) -> dict[str, Any]:
    """Read a position's receipt.

    Raises
    ------
    ResultsError
        It is damaged, or not a receipt of this version.
    """
    receipt = read_json(path)
    outcome = receipt.get("outcome") if isinstance(receipt, dict) else None
    wanted = _RECEIPT.get(outcome, {}) if isinstance(outcome, str) else {}
    wrong = [k for k, kind in wanted.items() if k in receipt and not isinstance(receipt[k], kind)]
    if not wanted or wrong or receipt.get("schema_version") != SCHEMA_VERSION:
        what = f"{wrong[0]} is {receipt[wrong[0]]!r}" if wrong else f"outcome is {outcome!r}"
        raise ResultsError(
            f"{path}: must be a receipt of schema_version {SCHEMA_VERSION}, {what[:200]}; delete it and run again"
        )
    return dict(receipt)


def succeeded(receipt: Mapping[str, Any]) -> bool:
    """Whether a receipt says that its position was run to the end."""
    return bool(receipt.get("outcome") == "done")


def is_done(folder: PositionFolder) -> bool:
    """Whether a position was run to the end.

    Raises
    ------
    ResultsError
        Its receipt is damaged.
    """
    return folder.receipt.exists() and succeeded(read_receipt(folder.receipt))


def done_positions(results: Results) -> dict[str, str]:
    """Opaque key of each position that was run to the end, in the order of the experiment.

    Raises
    ------
    ResultsError
        A receipt is damaged.
    """
    return {name: key for name, key in results.index().items() if is_done(results.position(key))}
