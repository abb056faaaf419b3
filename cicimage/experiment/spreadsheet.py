"""Tables as spreadsheet programs save them: encodings, separators, blank rows, decimal commas."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cicimage.errors import ConfigurationError
from cicimage.regular import require_regular

MOST_TEXT_BYTES: Final = 64 << 20
"""Largest experiment file, layout or plate map; larger ones are something else."""
SEPARATORS: Final = "\t;,"
"""Characters that part cells; where two part the heading into equally many cells the first one is taken."""
_GROUPS: Final = re.compile(r"[+-]?\d{1,3}(?:([., ' ])\d{3})(?:\1\d{3})*")
_AROUND: Final = re.compile("^[\\s\\u200b-\\u200d\\u2060\\ufeff]+|[\\s\\u200b-\\u200d\\u2060\\ufeff]+$")


def read_cells(path: Path) -> list[list[str]]:
    """Read a table of text that a spreadsheet program or an editor wrote.

    UTF-8, UTF-16 (with or without its mark) and Windows-1252 are understood, commas, semicolons and tabs between
    cells, and Excel's first line ``sep=;``. Rows without any text are left out.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of list of str
        Cells by row, without blanks and invisible characters around them, the heading first.

    Raises
    ------
    ConfigurationError
        The file cannot be read, is no text, or is text of an encoding that its bytes leave open.
    """
    text = decoded(path)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ConfigurationError(f"{path}: must be text, has a NUL character in line {line}; save it as CSV (UTF-8)")
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    stated = re.match(r'"?sep=(.)"?[ ,;\t]*\n', text, re.IGNORECASE)
    if stated:
        text = text[stated.end() :]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=stated[1] if stated else _separator(text)))
    except csv.Error as error:
        raise ConfigurationError(f"{path}: cannot be read as a table ({error}); save it as CSV (UTF-8)") from None
    stripped = [[_AROUND.sub("", cell) for cell in row] for row in rows]
    return [row for row in stripped if any(row)]


def _separator(text: str) -> str:
    """The separator of the heading, the first line with text; cells in quotes do not count."""
    heading = next((line for line in text.split("\n") if line.strip(SEPARATORS + " ")), "")
    bare = re.sub(r'"[^"]*"', "", heading)
    return max(SEPARATORS, key=bare.count)


def decoded(path: Path) -> str:
    """Text of a file in UTF-8, UTF-16 or Windows-1252, without its byte-order mark.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or its bytes fit several encodings that give different text.
    """
    require_regular(path, ConfigurationError, most_bytes=MOST_TEXT_BYTES)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); it must be a text file") from None
    encoding = _wide(raw)
    if encoding is not None:
        try:
            return raw.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: must be text, its UTF-16 is damaged; save it as UTF-8") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if _western(raw):
            return raw.decode("cp1252")
        raise ConfigurationError(
            f"{path}: must be UTF-8 text, byte {error.start} is not, and other encodings read it differently; "
            "save it as CSV UTF-8"
        ) from None


def _wide(raw: bytes) -> str | None:
    """The UTF-16 encoding that the mark or the zero bytes of Latin text show."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = raw[:2000]
    if len(head) >= 4 and len(raw) % 2 == 0:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > 0.4 * len(head) and not even:
            return "utf-16-le"
        if even > 0.4 * len(head) and not odd:
            return "utf-16-be"
    return None


def _western(raw: bytes) -> bool:
    """Whether bytes above 127 stand as they do in Windows-1252 and in no other likely encoding.

    The upper half from 0xA0 on is Western letters and signs; a Cyrillic, Greek or Asian text has whole words of it, and
    the other half of Windows-1252 holds the accented letters of Mac Roman.
    """
    if any(0x80 <= byte < 0xA0 and byte not in (0x80, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97) for byte in raw):
        return False
    words = re.findall(rb"[A-Za-z\x80-\xff]+", raw)
    # one sign alone, as in "5 \xb5M" or "\xb0C", is no word of another alphabet
    return all(sum(byte > 127 for byte in word) <= max(1, len(word) // 2) for word in words)


def has_decimal_comma(cells: Iterable[str]) -> bool:
    """Whether one of the cells can only be a number with a decimal comma, such as ``2,5``."""
    return any("," in cell and number_of(cell) is not None and cell.rfind(",") > cell.rfind(".") for cell in cells)


def number_of(text: str, *, decimal_comma: bool = False) -> float | None:
    """Read a number as people write it: ``2.5``, ``2,5``, ``1e-3``, ``1.000,5``; None where it is none or ambiguous.

    Parameters
    ----------
    text : str
        One cell. A single separator before exactly three digits (``1,000``) may be a decimal sign or part thousands:
        a comma there is ambiguous, a point only where ``decimal_comma`` is true.
    decimal_comma : bool
        Whether other numbers of the same table have a decimal comma (:func:`has_decimal_comma`).

    Examples
    --------
    >>> number_of("2,5"), number_of("1.000,5"), number_of("1,000"), number_of("<1"), number_of("10 uM")
    (2.5, 1000.5, None, None, None)
    """
    bare = text.strip().replace("−", "-")
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", bare):
        value = float(bare)
        if decimal_comma and re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", bare):
            return None
        return value if math.isfinite(value) else None
    if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", bare):
        whole, _, rest = bare.partition(",")
        digits = re.match(r"\d+", rest)
        thousands = digits is not None and len(digits[0]) == 3 and rest.isdigit() and whole.strip("+-0") != ""
        return None if thousands and len(whole.strip("+-")) <= 3 else float(bare.replace(",", "."))
    decimal = max(bare.rfind(","), bare.rfind("."))
    head, tail = bare[: max(decimal, 0)], bare[decimal + 1 :]
    if decimal > 0 and tail.isdigit() and _GROUPS.fullmatch(head) and bare[decimal] not in head:
        return float(re.sub(r"[^\d+-]", "", head) + "." + tail)
    groups = _GROUPS.fullmatch(bare)
    if groups and len(re.findall(r"[^\d+-]", bare)) > 1:
        return float(re.sub(r"[^\d+-]", "", bare))
    return None
