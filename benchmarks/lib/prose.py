"""What people write about a page of results, beside the page, so that a re-run of the benchmark keeps it."""

from __future__ import annotations

from pathlib import Path


def hand_written(page: str) -> str:
    """What people wrote about a page of results: ``results/<page>_notes.md``, which no re-run takes away."""
    path = Path(__file__).parents[1] / "results" / f"{page}_notes.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""
