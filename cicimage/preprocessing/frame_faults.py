"""Which pixels, and which frames of a channel, hold no measurement: absent, saturated, constant or dark ones.

Such a pixel is no evidence that nothing is there. A few are replaced by what lies around them; a channel with more of
them in a frame cannot be used there.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray

MOST_BAD: Final = 0.2
"""Share of a slice's pixels that may be absent or saturated."""
USUALLY_SATURATED: Final = 0.05
"""Share of saturated pixels from which saturation is the channel's fault and not that of single frames."""
DARK_SHARE: Final = 0.1
"""Signal over that of other frames below which a frame was taken without light."""
DARK_FROM: Final = 10.0
"""Signal over noise SD of other frames from which darkness means something."""
MOST_COUNTS: Final = 1e12
"""Larger numbers are no counts but codes for absent pixels, and their squares overflow."""
PLATEAU_OVER_NOISE: Final = 10.0
BLOCK_PX: Final = 8
"""Side of the blocks that are looked at for pixels that were never read out."""
_FEW_AT_TOP: Final = 1e-3  # share of pixels at the brightest value that is told as none
_UNUSUAL: Final = 0.3  # share of the sampled frames up to which a constant slice is not how the channel is
BLANK_BY_NATURE: Final = 0.02
"""Share of constant blocks from which the channel has them by nature (background set to 0)."""
ROUNDING_SD: Final = 12.0**-0.5
"""SD of rounding to whole numbers, counts: no noise that was measured in them is less."""
COARSE_UNDER: Final = 3.0
"""Noise over that of rounding, under which 64 pixels of dark ground are now and then of one value; three times as much
makes one such block in 10^20."""
FEW_BLOCKS: Final = 0.005
"""Share of constant blocks at background that chance makes where counts are few."""

Why = Literal["not finite", "saturated", "constant", "dark"]


@dataclass(frozen=True)
class Look:
    """One channel in one frame, slice by slice.

    Attributes
    ----------
    absent : tuple of float
        Share of pixels that are not finite.
    blank : tuple of float
        Share of blocks, or of rows and columns, of one single value below the brightest: never read out.
    high : tuple of float
        Brightest pixel, counts.
    top : tuple of float
        Share of pixels as bright as that; 0 in constant slices, and where it is next to nothing.
    over : tuple of float
        Share of pixels at full scale.
    constant : tuple of bool
        All pixels are one value.
    spread : tuple of float
        Brightest over darkest pixel, counts.
    """

    absent: tuple[float, ...]
    blank: tuple[float, ...]
    high: tuple[float, ...]
    top: tuple[float, ...]
    over: tuple[float, ...]
    constant: tuple[bool, ...]
    spread: tuple[float, ...]

    @property
    def saturated(self) -> float:
        """Share of pixels at full scale in the slice that has most of them."""
        return max(self.over)

    def at_scale(self, full_scale: float | None) -> Look:
        """The same look once it is known where the channel clips, no pixel being brighter than that."""
        if full_scale is None:
            return replace(self, over=(0.0,) * len(self.high))
        slices = zip(self.high, self.top, self.constant, strict=True)
        return replace(
            self, over=tuple((1.0 if flat else top) if high >= full_scale else 0.0 for high, top, flat in slices)
        )


@dataclass(frozen=True)
class Usual:
    """What a channel looks like in the sampled frames, for single frames to be held against.

    Attributes
    ----------
    full_scale : float or None
        Count at which it clips.
    saturated, top, blank : float
        Medians over frames of the worst slice's shares.
    noise_sd, background, signal : float
        Noise per pixel, level without cells, and signal above it, counts.
    constant : tuple of bool
        Slices that are constant in a good part of the frames.
    signals : tuple of (int, float)
        Frame and signal above background, counts, of frames that can be used; empty where light may be off.
    steady : bool
        Its cells are there all the time (hosts): one level holds for the whole movie.
    rounding_sd : float
        SD of rounding counts to whole numbers; 0 where they are none.
    peak : float
        Brightest pixel above background, counts; median over frames.
    """

    full_scale: float | None = None
    saturated: float = 0.0
    top: float = 0.0
    blank: float = 0.0
    noise_sd: float = 0.0
    background: float = 0.0
    signal: float = 0.0
    constant: tuple[bool, ...] = ()
    signals: tuple[tuple[int, float], ...] = ()
    steady: bool = False
    rounding_sd: float = 0.0
    peak: float = 0.0

    @property
    def coarse(self) -> bool:
        """Whether counts are so coarse that blocks of dark ground are of one value by chance."""
        return self.noise_sd < COARSE_UNDER * self.rounding_sd


@dataclass(frozen=True)
class Fault:
    """Why a channel cannot be used in a frame: a code, and what was measured with its rule."""

    why: Why
    value: str


def look_at(stack: npt.NDArray[Any], full_scale: float | None = None) -> Look:
    """Look at one channel of one frame.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Raw counts.
    full_scale : float, optional
        Count at which the channel clips.
    """
    plain = _plain_slices(stack)
    slices = [
        _look_at_slice(plane, full_scale) if ends is None or (full_scale is not None and ends[1] >= full_scale)
        else (0.0, 0.0, ends[1], 0.0, 0.0, False, ends[1] - ends[0])
        for plane, ends in zip(stack, plain, strict=True)
    ]  # fmt: skip
    return Look(*zip(*slices, strict=True))


def _plain_slices(stack: npt.NDArray[Any]) -> list[tuple[float, float] | None]:
    """Darkest and brightest pixel of slices that need no second look; None for the others.

    Most blocks are not of one value, which a row or two of them tells; few pixels of every eighth row are as bright as
    the brightest of a slice that does not clip.
    """
    flat_stack = stack.reshape(len(stack), -1)
    low, high = flat_stack.min(axis=1), flat_stack.max(axis=1)
    thin = stack[:, ::BLOCK_PX]
    odd = _with_flat_blocks(stack) | _with_flat_rows(stack) | _with_flat_rows(thin.transpose(0, 2, 1))
    odd |= np.count_nonzero(thin == high[:, None, None], axis=(1, 2)) > _FEW_AT_TOP * thin[0].size
    plain = ~odd & (np.abs(low.astype(np.float64)) < MOST_COUNTS) & (np.abs(high.astype(np.float64)) < MOST_COUNTS)
    return [(float(a), float(b)) if good else None for a, b, good in zip(low, high, plain, strict=True)]


def _with_flat_blocks(stack: npt.NDArray[Any]) -> BoolArray:
    """Which slices have a block of one value: few blocks have one value in four of their pixels, and those are read."""
    h, w = (n // BLOCK_PX for n in stack.shape[1:])
    half = BLOCK_PX // 2
    some = stack[:, : h * BLOCK_PX, : w * BLOCK_PX]
    first = some[:, ::BLOCK_PX, ::BLOCK_PX]
    maybe = first == some[:, half::BLOCK_PX, half::BLOCK_PX]
    maybe &= first == some[:, ::BLOCK_PX, half::BLOCK_PX]
    maybe &= first == some[:, half::BLOCK_PX, ::BLOCK_PX]
    z, y, x = np.nonzero(maybe)
    found = np.zeros(len(stack), np.bool_)
    if len(z):
        blocks = some.reshape(len(stack), h, BLOCK_PX, w, BLOCK_PX)[z, y, :, x]
        found[z[(blocks == blocks[:, :1, :1]).all(axis=(1, 2))]] = True
    return found


def _with_flat_rows(stack: npt.NDArray[Any]) -> BoolArray:
    """Which slices have a row of one value: few rows have one value at both ends and in the middle."""
    maybe = (stack[:, :, 0] == stack[:, :, -1]) & (stack[:, :, 0] == stack[:, :, stack.shape[2] // 2])
    z, y = np.nonzero(maybe)
    found = np.zeros(len(stack), np.bool_)
    if len(z):
        rows = stack[z, y]
        found[z[(rows == rows[:, :1]).all(axis=1)]] = True
    return found


def _look_at_slice(
    plane: npt.NDArray[Any], full_scale: float | None
) -> tuple[float, float, float, float, float, bool, float]:
    ends = ends_of(plane)
    absent, bad = 0.0, None
    if not (abs(ends.low) < MOST_COUNTS and abs(ends.high) < MOST_COUNTS):
        bad = ~is_count(plane)
        absent = float(bad.mean())
        if absent == 1.0:
            return 1.0, 0.0, float("nan"), 0.0, 0.0, False, 0.0
        ends = ends_of(plane, bad)
    low, high = ends.low, ends.high
    if low == high:
        return absent, 0.0, high, 0.0, float(full_scale is not None and high >= full_scale), True, 0.0
    top = float(np.count_nonzero(plane == plane.dtype.type(high))) / plane.size
    over = 0.0
    if full_scale is not None and high >= full_scale:
        at_scale = plane >= full_scale
        over = top if high == full_scale else float((at_scale if bad is None else at_scale & ~bad).mean())
    return absent, max(ends.blank(part).mean() for part in ("blocks", "lines")), high, top, over, False, high - low


@dataclass(frozen=True, eq=False)
class Ends:
    """Darkest and brightest pixel of a plane, of its blocks, and of its rows and columns."""

    low: float
    high: float
    blocks: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    lines: tuple[npt.NDArray[Any], npt.NDArray[Any]]

    def blank(self, part: str) -> BoolArray:
        """Blocks, or lines (rows, then columns), of one value below the brightest."""
        low, high = getattr(self, part)
        flat = np.asarray((low == high) & (high < self.high))
        return flat if flat.size else np.zeros(1, bool)


def ends_of(plane: npt.NDArray[Any], bad: BoolArray | None = None) -> Ends:
    """Darkest and brightest pixels of a (Y, X) plane, those that are ``bad`` left out."""
    least = most = plane
    if bad is not None:
        least, most = np.where(bad, np.inf, plane), np.where(bad, -np.inf, plane)
    rows = least.min(axis=1), most.max(axis=1)
    h, w = (n // BLOCK_PX for n in plane.shape)
    if not h or not w:
        return Ends(float(rows[0].min()), float(rows[1].max()), (rows[0][:0], rows[1][:0]), (rows[0][:0], rows[1][:0]))
    bands = [
        least[: h * BLOCK_PX].reshape(h, BLOCK_PX, -1).min(axis=1),
        most[: h * BLOCK_PX].reshape(h, BLOCK_PX, -1).max(axis=1),
    ]
    rest = slice(h * BLOCK_PX, None)
    columns = np.vstack([bands[0], least[rest]]).min(axis=0), np.vstack([bands[1], most[rest]]).max(axis=0)
    blocks = [band[:, : w * BLOCK_PX].reshape(h, w, BLOCK_PX) for band in bands]
    return Ends(
        float(rows[0].min()),
        float(rows[1].max()),
        (blocks[0].min(axis=2), blocks[1].max(axis=2)),
        (np.concatenate([rows[0], columns[0]]), np.concatenate([rows[1], columns[1]])),
    )


def is_count(plane: npt.NDArray[Any]) -> BoolArray:
    """Which pixels hold a number that can be a count."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(plane) < MOST_COUNTS)


def usual_of(
    looks: Sequence[tuple[int, Look, float]],
    *,
    full_scale: float | None,
    noise_sd: float,
    background: float,
    steady: bool,
    darkens: bool = True,
    rounding_sd: float = 0.0,
) -> Usual:
    """What a channel usually looks like.

    Parameters
    ----------
    looks : sequence of (frame, Look, signal)
        The sampled frames in order; signal above background in counts.
    full_scale : float or None
        Count at which the channel clips.
    noise_sd, background : float
        Noise per pixel and level without cells, counts.
    steady : bool
        Whether its cells are there all the time.
    darkens : bool
        Whether a frame far darker than the others was taken without light; a marker of death may just be dim.
    rounding_sd : float
        SD of rounding to whole numbers, counts.
    """
    if not looks:
        return Usual(
            full_scale=full_scale, noise_sd=noise_sd, background=background, steady=steady, rounding_sd=rounding_sd
        )
    partly = [(t, look, s) for t, look, s in looks if not all(look.constant)]
    slices = zip(*(look.constant for _, look, _ in partly or looks), strict=True)
    lit = tuple((t, s) for t, look, s in partly if max(look.absent) <= MOST_BAD)
    return Usual(
        full_scale=full_scale,
        saturated=float(np.median([look.at_scale(full_scale).saturated for _, look, _ in looks])),
        top=float(np.median([max(look.top) for _, look, _ in looks])),
        blank=float(np.median([max(look.blank) for _, look, _ in looks])),
        noise_sd=noise_sd,
        background=background,
        signal=float(np.median([s for _, _, s in looks])),
        constant=tuple(sum(flat) > _UNUSUAL * len(flat) for flat in slices),
        signals=lit if darkens else (),
        steady=steady,
        rounding_sd=rounding_sd,
        peak=float(np.median([max(look.high) for _, look, _ in looks])) - background,
    )


def is_lit(stack: npt.NDArray[Any], usual: Usual) -> bool:
    """Whether something of more than a pixel stands out of a frame, as cells do where there is light.

    The signal of a channel is a high percentile. Where a few cells make up about that share of the field, it falls to
    nothing when one of them leaves; those that stay are as bright as before.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Raw counts.
    usual : Usual
        The channel in other frames.

    Examples
    --------
    >>> frame = np.full((1, 20, 20), 100.0)
    >>> frame[0, 5:9, 5:9] = 900
    >>> is_lit(frame, Usual(background=100.0, noise_sd=2.0, peak=800.0))
    True
    """
    least = usual.background + max(DARK_FROM * usual.noise_sd, DARK_SHARE * usual.peak)
    around = np.ones((3, 3), np.uint8)
    return any(bool(cv2.erode((plane > least).astype(np.uint8), around).any()) for plane in stack)


def fault_of(look: Look, usual: Usual, t: int, signal: float | None = None) -> Fault | None:
    """Say why a channel cannot be used in a frame; None where it can.

    Parameters
    ----------
    look : Look
        The channel in this frame.
    usual : Usual
        The channel in other frames.
    t : int
        Which frame.
    signal : float, optional
        Signal above background, counts; without it darkness is not judged.
    """
    if all(look.constant):
        return Fault("constant", f"all pixels are {look.high[0]:g}")
    odd = [z for z, flat in enumerate(look.constant) if flat and not (usual.constant and usual.constant[z])]
    if odd and usual.blank <= BLANK_BY_NATURE:
        return Fault("constant", f"all pixels of slice {odd[0]} are {look.high[odd[0]]:g}")
    clipped = _saturated_slices(look, usual)
    natural = usual.coarse or usual.blank > BLANK_BY_NATURE
    blank = [0.0 if natural or b < FEW_BLOCKS else b for b in look.blank]
    bad = [sum(shares) for shares in zip(look.absent, blank, clipped, strict=True)]
    worst = int(np.argmax(bad))
    if bad[worst] > MOST_BAD:
        kinds: list[tuple[float, Why, str]] = [
            (look.absent[worst], "not finite", "not finite"),
            (clipped[worst], "saturated", "saturated"),
            (blank[worst], "constant", "one value in blocks"),
        ]
        _, why, words = max(kinds)
        where = f" of slice {worst}" if len(bad) > 1 else ""
        value = f"{100 * bad[worst]:.0f} % of pixels{where} are {words}, at most {100 * MOST_BAD:.0f} % may be"
        return Fault(why, value)
    return _darkness(usual, t, signal)


def _saturated_slices(look: Look, usual: Usual) -> list[float]:
    """Share of saturated pixels by slice, where that is not how the channel is throughout."""
    if usual.saturated > USUALLY_SATURATED:
        return [0.0] * len(look.over)
    clips = usual.top <= USUALLY_SATURATED
    return [
        max(over, top if clips and top > MOST_BAD and spread > PLATEAU_OVER_NOISE * usual.noise_sd else 0.0)
        for over, top, spread in zip(look.over, look.top, look.spread, strict=True)
    ]


def _darkness(usual: Usual, t: int, signal: float | None) -> Fault | None:
    """A frame without light shows noise: its signal is far below that of the frames around it."""
    others = [(abs(at - t), at < t, s) for at, s in usual.signals if at != t]
    if signal is None or len(others) < 3:
        return None
    expected = statistics.median(s for _, _, s in others) if usual.steady else 0.0
    before, after = ([s for _, _, s in sorted(o for o in others if o[1] is side)] for side in (True, False))
    around = [*before[:1], *after[:1]] if before and after else (before or after)[:2]
    expected = max(expected, min(around))
    if expected > DARK_FROM * usual.noise_sd and signal < DARK_SHARE * expected:
        value = f"signal is {max(signal, 0.0):.2g} counts, {expected:.3g} in other frames"
        return Fault("dark", f"{value}, at least {100 * DARK_SHARE:.0f} % of that is needed")
    return None
