"""How estimands, states and numbers are said to a reader: names, units, rounding."""

from __future__ import annotations

import math
import re
from typing import Final

from cicimage.estimands import NO_INTERACTION

LOCATIONS: Final[dict[str, str]] = {
    "free": "free",
    "attached": "touching a host",
    "entering": "entering",
    "inside": "inside",
    "unresolved": "cannot be told",
    "dead": "dead",
    "lost": "lost from view",
}
ENDS: Final[dict[str, str]] = {
    "death": "died inside",
    "escape": "came out",
    "aborted": "turned back",
    "host_death": "host died",
    "host_lost": "host lost from view",
    "edge": "left the field",
    "track_lost": "lost from view",
    "movie_end": "still there at the end",
}
SCORES: Final[dict[str, str]] = {
    "surviving": "surviving",
    "dying": "died inside",
    "entering": "entry not completed",
    "": "not scored",
}


def number(value: float) -> str:
    """Round for reading: two significant digits, three between 1 and 2, no exponents.

    Examples
    --------
    >>> [number(v) for v in (0.01234, 1.234, 23.45, 0.0, 1234.5, float("nan"))]
    ['0.012', '1.23', '23', '0', '1,234', '–']
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    sign = "−" if value < 0 else ""
    if size == 0:
        return "0"
    if size < 0.0005:
        return f"{sign}<0.001"
    if size >= 100:
        return f"{sign}{size:,.0f}"
    exponent = math.floor(math.log10(size))
    digits = 3 if 1 <= size < 1.995 else 2
    return f"{sign}{size:.{max(0, digits - 1 - exponent)}f}"


def exact(value: float) -> str:
    """A number somebody chose, such as a dose or an interval: four digits at most, no zeros behind.

    Examples
    --------
    >>> exact(24.0), exact(6.0000001), exact(0.25), exact(1000.0)
    ('24', '6', '0.25', '1,000')
    """
    return f"{float(f'{value:.4g}'):,.10g}"


def count(value: float) -> str:
    """Whole number with thousands separated; one decimal where it is none.

    Examples
    --------
    >>> count(12345.0), count(12.5), count(float("nan"))
    ('12,345', '12.5', '–')
    """
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:,.1f}"


def interval(low: float, high: float) -> str:
    """An interval in words; an open side is said.

    Examples
    --------
    >>> interval(1.6, 3.5), interval(float("nan"), 0.2), interval(1.6, float("inf"))
    ('1.60 to 3.5', 'up to 0.20', 'from 1.60 up')
    """
    open_low, open_high = math.isnan(low) or math.isinf(low), math.isnan(high) or math.isinf(high)
    if open_low and open_high:
        return "no interval"
    if open_low:
        return f"up to {number(high)}"
    if open_high:
        return f"from {number(low)} up"
    return f"{number(low)} to {number(high)}"


def p_value(p: float) -> str:
    """A p-value as papers print it.

    Examples
    --------
    >>> p_value(0.0123), p_value(0.00001), p_value(float("nan"))
    ('p = 0.012', 'p < 0.001', 'no test')
    """
    if math.isnan(p):
        return "no test"
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def tight(text: str) -> str:
    r"""Keep numbers and their units on one line, and write um as µm.

    Examples
    --------
    >>> tight("95 % interval, p < 0.001")
    '95\xa0% interval, p\xa0<\xa00.001'
    """
    text = _MICRON.sub("\u00a0µm", text)
    return _UNIT.sub("\u00a0", _P_VALUE.sub("p\u00a0\\1\u00a0", text))


_UNIT = re.compile(r"(?<=\d) (?=(?:%|µm|h|min|times|donors?|nM|µM)(?!\w))")
_MICRON = re.compile(r"(?<=\d) um\b")
_P_VALUE = re.compile(r"\bp ([<=]) (?=\d)")


def plural(n: float, one: str, many: str = "") -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "donor"), plural(3, "donor"), plural(2, "entry", "entries")
    ('1 donor', '3 donors', '2 entries')
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def against(condition: str, reference: str) -> str:
    """Who is compared with whom; an interaction of two factors is named as such.

    Examples
    --------
    >>> against("BTKi", "vehicle"), against("btki x blockade", "no interaction")
    ('BTKi against vehicle', 'interaction of btki x blockade')
    """
    if reference == NO_INTERACTION:
        return f"interaction of {printable(condition)}"
    return f"{printable(condition)} against {printable(reference)}"


def listed(parts: list[str]) -> str:
    """Join as a sentence does.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""


# What XML 1.0 does not allow in text, and what turns the direction of the text that follows a hostile name.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(name: object) -> str:
    r"""Text fit for a page: control characters, lone surrogates and direction overrides become U+FFFD.

    Examples
    --------
    >>> printable("a\x00b")
    'a\ufffdb'
    """
    return _UNPRINTABLE.sub("\ufffd", str(name))


def short(name: object, most: int = 28) -> str:
    """A name that fits on an axis; the middle of a longer one is left out.

    Examples
    --------
    >>> short("abcdefghij", 7)
    'abc…hij'
    """
    text = printable(name)
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
