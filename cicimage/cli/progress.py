"""Progress on stderr: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final

from tqdm import tqdm

from cicimage.cli.echo import echo

PLAIN_EVERY_S: Final = 10.0
ENOUGH_TO_TELL: Final = 0.05
"""Share of the positions from which the time left is estimated; before, the estimate would extrapolate start-up."""


class Progress:
    """Shows how many positions are finished and the time left.

    Parameters
    ----------
    n_positions : int
        Positions that will be reported as done, failed or waiting.
    """

    def __init__(self, n_positions: int) -> None:
        self._total = n_positions
        self._finished = 0
        self._share: dict[str, float] = {}
        self._started = self._said = time.monotonic()
        self._bar = (
            tqdm(
                total=float(n_positions), unit="pos", file=sys.stderr, leave=False,
                bar_format="{l_bar}{bar}| {n:.1f}/{total:.0f} positions [{elapsed}<{remaining}] {postfix}",
            )
            if sys.stderr.isatty()
            else None
        )  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, position: str, stage: str, done: int, total: int) -> None:
        """Take one report of :func:`cicimage.batch.run_batch`.

        Parameters
        ----------
        position : str
            Name of the position.
        stage : str
            Stage at work, or ``done``, ``failed`` or ``waiting`` at its end.
        done, total : int
            Units of the stage finished and in all; 0 in all where the stage does not count.
        """
        if stage in {"done", "failed", "waiting"}:
            self._finished += 1
            self._share.pop(position, None)
            if self._bar is None:
                self._plain(f"{position}: {stage}", force=True)
        elif stage == "detect" and total:
            self._share[position] = 0.9 * done / total
        else:
            self._share[position] = 0.9 + 0.1 * done / max(total, 1)
        if self._bar is not None:
            self._bar.n = self._finished + sum(self._share.values())
            self._bar.set_postfix_str(f"{position} {stage}", refresh=True)
        else:
            self._plain(f"{position}: {stage} {done}/{total}")

    def _plain(self, text: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._said < PLAIN_EVERY_S:
            return
        self._said = now
        reached = self._finished + sum(self._share.values())
        enough = min(1.0, ENOUGH_TO_TELL * self._total)
        left = (now - self._started) * (self._total / reached - 1) if reached else float("nan")
        tail = f", about {left:.0f} s left" if enough < reached < self._total else ""
        echo(f"[{self._finished}/{self._total}] {text}{tail}", err=True)
