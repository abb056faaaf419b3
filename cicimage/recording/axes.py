"""The order of planes as the experiment file writes it: "TCYX", with sizes where needed ("TC2YX")."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError

_AXIS = re.compile(r"([TCZYXS])(\d*)")


@dataclass(frozen=True)
class Axes:
    """Order of planes, slowest axis first.

    Attributes
    ----------
    text : str
        As written.
    stack : tuple of (str, int or None)
        The axes before Y, X with their lengths where written.
    overrules : bool
        Written with a "!" behind: goes before what the file itself says.
    """

    text: str
    stack: tuple[tuple[str, int | None], ...]
    overrules: bool

    @property
    def letters(self) -> str:
        """The axes before Y, X."""
        return "".join(a for a, _ in self.stack)


def parse_axes(text: str) -> Axes:
    """Read an order of planes.

    Raises
    ------
    RecordingError
        Not letters of T, C, Z that end in YX (or YXS for colour pixels).

    Examples
    --------
    >>> parse_axes("TC2YX").stack
    (('T', None), ('C', 2))
    """
    body = text.strip().upper()
    overrules = body.endswith("!")
    body = body.removesuffix("!").replace(" ", "").replace(",", "")
    found = _AXIS.findall(body)
    letters = "".join(a for a, _ in found)
    spelled = "".join(a + n for a, n in found)
    stem = letters.removesuffix("S")
    sized_plane = any(n for a, n in found if a in "YXS")
    if spelled != body or not stem.endswith("YX") or len(set(letters)) != len(letters) or "S" in stem or sized_plane:
        raise RecordingError(
            f"axes {text!r} must be T, C, Z in the order of the planes and end in YX, e.g. 'TCYX' or 'TC2YX', "
            "with ! behind to overrule the file; mend axes in [files] of the experiment file"
        )
    stack = tuple((a, int(n) if n else None) for a, n in found if a in "TCZ")
    if any(n == 0 for _, n in stack):
        raise RecordingError(f"axes {text!r} give an axis length 0; lengths start at 1: mend axes in [files]")
    return Axes(text, stack, overrules)


def share_out(axes: Axes, n_planes: int, known: Sequence[int], name: str) -> dict[str, int]:
    """Lengths of the axes before Y, X, slowest first.

    Parameters
    ----------
    axes : Axes
        As the experiment file writes them.
    n_planes : int
        Planes that the file holds.
    known : sequence of int
        Lengths that the file gives for its axes before Y, X, slowest first; empty where it gives none.
    name : str
        File name for messages.

    Raises
    ------
    RecordingError
        The lengths stay open or do not multiply to the planes held.

    Examples
    --------
    >>> share_out(parse_axes("TC2YX"), 10, (), "a.tif")
    {'T': 5, 'C': 2}
    """
    lengths = [n for _, n in axes.stack]
    longer = [n for n in known if n > 1]
    for shape in (list(known), longer):
        if shape and len(shape) == len(lengths):
            lengths = [n if n is not None else k for n, k in zip(lengths, shape, strict=True)]
            break
    if lengths.count(None) == 1:
        rest = math.prod(n for n in lengths if n is not None)
        lengths = [n_planes // rest if n is None else n for n in lengths]
    if None in lengths:
        raise RecordingError(
            f"{name}: axes {axes.text!r} leave open how its {n_planes} planes are shared out; "
            f"write the lengths of all axes but one, e.g. {_with_lengths(axes, n_planes)!r}"
        )
    whole = [n for n in lengths if n is not None]
    if math.prod(whole) != n_planes:
        product = " x ".join(f"{a}{n}" for (a, _), n in zip(axes.stack, whole, strict=True)) or "one plane"
        raise RecordingError(
            f"{name}: holds {n_planes} planes{_of(known)}, axes {axes.text!r} make {product}; "
            "mend axes in [files] of the experiment file"
        )
    return dict(zip(axes.letters, whole, strict=True))


def _with_lengths(axes: Axes, n_planes: int) -> str:
    """The same axes with lengths that fit: the first one open, the second as short as divides the planes."""
    second = next((n for n in range(2, n_planes + 1) if n_planes % n == 0), 1)
    lengths = ["", str(second), *["1"] * len(axes.stack)]
    stack = "".join(a + n for a, n in zip(axes.letters, lengths, strict=False))
    return f"{stack}YX{'!' if axes.overrules else ''}"


def _of(known: Sequence[int]) -> str:
    return f" ({' x '.join(str(n) for n in known)})" if len(known) > 1 else ""


def where_planes_lie(order: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Number of the plane at each (t, c, z), from the lengths of the axes in file order, slowest first.

    Examples
    --------
    >>> where_planes_lie({"T": 2, "C": 2})[:, :, 0].tolist()
    [[0, 1], [2, 3]]
    """
    full = {**{a: 1 for a in "TCZ" if a not in order}, **order}
    numbers = np.arange(math.prod(full.values()), dtype=np.int64).reshape(tuple(full.values()))
    return numbers.transpose([list(full).index(a) for a in "TCZ"])
