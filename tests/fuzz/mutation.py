"""Structure-aware changes: another value in a JSON or XML document, a TIFF directory, or a binary header."""

from __future__ import annotations

import json
import struct
from xml.etree import ElementTree

import numpy as np

ODD_VALUES = (
    None, True, 0, -1, 1, 2, 7, 255, 65_536, 2**31 - 1, 2**31, 2**40, 2**63, -(2**63), 1e-300, 1e300, float("nan"),
    float("inf"), "", "0", "-1", "1e300", "nan", "µm", "../../x", "/etc/passwd", "a\nb", "\u202e", [], [0], [[]],
    [-1, 2**40], {}, {"a": 1},
)  # fmt: skip
ODD_TEXTS = (*(str(v) for v in ODD_VALUES if not isinstance(v, list | dict)), "{}", "&#0;", "YXTC", "<a/>")
ODD_NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def pick(rng: np.random.Generator, values):
    """One of some values."""
    return values[int(rng.integers(len(values)))]


def change_json(text: str, rng: np.random.Generator) -> str:
    """Replace, drop, double or retype one node of a JSON document."""
    document = json.loads(text)
    places = []

    def walk(node, parent, key):
        if parent is not None:
            places.append((parent, key))
        for k, v in list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()):
            walk(v, node, k)

    walk(document, None, None)
    if not places:
        return json.dumps(pick(rng, ODD_VALUES))
    parent, key = pick(rng, places)
    kind = int(rng.integers(5))
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif kind == 2:
        other, at = pick(rng, places)
        try:
            parent[key] = json.loads(json.dumps(other[at]))
        except (KeyError, IndexError):
            parent[key] = None
    else:
        parent[key] = pick(rng, ODD_VALUES)
    return json.dumps(document)


def change_xml(text: str, rng: np.random.Generator) -> str:
    """Change one attribute or text, or drop, double or move one element of an XML document."""
    root = ElementTree.fromstring(text)  # noqa: S314 - the sound document of a test
    parents = {child: parent for parent in root.iter() for child in parent}
    element = pick(rng, list(root.iter()))
    kind = int(rng.integers(6))
    if kind <= 1 and element.attrib:
        element.attrib[pick(rng, list(element.attrib))] = pick(rng, ODD_TEXTS)
    elif kind == 2 and element.attrib:
        del element.attrib[pick(rng, list(element.attrib))]
    elif kind == 3 and element in parents:
        parents[element].remove(element)
    elif kind == 4 and element in parents:
        parents[element].append(element)
    elif element.text and element.text.strip():
        element.text = pick(rng, ODD_TEXTS)
    elif element.attrib:
        element.attrib[pick(rng, list(element.attrib))] = pick(rng, ODD_TEXTS)
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in ElementTree.tostring(root, "unicode"))


def change_tiff(data: bytes, rng: np.random.Generator) -> bytes:
    """Change tag, type, count or value of one entry of a directory, or where a directory leads to."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    head, width, pointer, count = ("Q", 20, "Q", 8) if big else ("H", 12, "I", 2)
    offset = struct.unpack_from(order + pointer, data, 8 if big else 4)[0]
    entries, links = [], [8 if big else 4]
    while offset and len(links) < 20:
        n = struct.unpack_from(order + head, data, offset)[0]
        entries += [offset + count + width * i for i in range(n)]
        links.append(offset + count + width * n)
        offset = struct.unpack_from(order + pointer, data, links[-1])[0]
    out = bytearray(data)
    kind = int(rng.integers(8))
    at = pick(rng, entries)
    if kind == 0:
        struct.pack_into(order + "H", out, at, pick(rng, (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 284, 320)))
    elif kind == 1:
        struct.pack_into(order + "H", out, at + 2, int(rng.integers(20)))
    elif kind == 2:
        struct.pack_into(order + pointer, out, at + 4, pick(rng, ODD_NUMBERS))
    elif kind == 3:
        struct.pack_into(order + pointer, out, pick(rng, links), pick(rng, (0, 8, *entries[:3], 2**31, len(data))))
    else:
        struct.pack_into(order + pointer, out, at + (12 if big else 8), pick(rng, (*ODD_NUMBERS, len(data) - 4)))
    return bytes(out)


def change_header(data: bytes, rng: np.random.Generator, places: tuple[int, ...]) -> bytes:
    """Change a 32-bit or 64-bit number at one of the places where a format keeps lengths, offsets and counts."""
    out = bytearray(data)
    at = pick(rng, places)
    code = pick(rng, ("<I", "<Q"))
    if at + 8 <= len(out):
        old = struct.unpack_from(code, out, at)[0]
        top = 2**32 if code == "<I" else 2**64
        struct.pack_into(code, out, at, pick(rng, (*ODD_NUMBERS, old + 1, old - 1, old * 2, old // 2, top - 1)) % top)
    return bytes(out)
