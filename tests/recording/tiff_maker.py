"""TIFF files made by hand for these tests, sound and unsound ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile

OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0" Name="field"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{type}" SizeX="{x}" '
    'SizeY="{y}" SizeC="{c}" SizeZ="{z}" SizeT="{t}" {more}>{inside}</Pixels></Image></OME>'
)


def numbered(t=4, c=2, z=3, y=20, x=24, dtype=np.uint16):
    """(T, C, Z, Y, X) planes that all differ, with some texture."""
    count = np.arange(t * c * z, dtype=np.float64).reshape(t, c, z, 1, 1)
    ramp = np.arange(y)[:, None] * 3 + np.arange(x)
    return (count * 7 + ramp % 50).astype(dtype)


def ome_xml(movie, more="", inside="", kind=None):
    t, c, z, y, x = movie.shape
    return OME.format(type=kind or movie.dtype.name, t=t, c=c, z=z, y=y, x=x, more=more, inside=inside or "<TiffData/>")


def write_pages(path: Path, pages, description=None, **options):
    """One page after the other, the description on the first, nothing added by the writer."""
    with tifffile.TiffWriter(path) as writer:
        for i, page in enumerate(pages):
            writer.write(
                page,
                contiguous=False,
                photometric="minisblack",
                metadata=None,
                description=description if i == 0 else None,
                **options,
            )
    return path


def write_ome(path: Path, movie, xml=None, **options):
    """An OME-TIFF whose XML is given, T slowest, then Z, then C."""
    order = np.moveaxis(movie, 1, 2).reshape(-1, *movie.shape[-2:])
    return write_pages(path, order, xml if xml is not None else ome_xml(movie), **options)


def sparse_big_tiff(path: Path, n_planes: int, height: int, width: int, description: str, marked=()):
    """An uncompressed uint16 BigTIFF whose pixels take no disk; ``marked`` planes hold their number in each pixel."""
    plane = height * width * 2
    start = 16
    text = description.encode() + b"\0"
    with path.open("wb") as file:
        directories = start + n_planes * plane
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, directories))
        for number in marked:
            file.seek(start + number * plane)
            file.write(np.full(height * width, number % 65536, "<u2").tobytes())
        file.seek(directories)
        offset = directories
        for number in range(n_planes):
            tags = [
                (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
                (273, 16, 1, start + number * plane), (277, 3, 1, 1), (278, 4, 1, height), (279, 16, 1, plane),
            ]  # fmt: skip
            length = 8 + 20 * (len(tags) + (number == 0)) + 8
            if number == 0:
                tags.insert(5, (270, 2, len(text), offset + length))
            body = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", *t) for t in tags)
            following = offset + length + (len(text) if number == 0 else 0)
            body += struct.pack("<Q", 0 if number == n_planes - 1 else following)
            file.write(body + (text if number == 0 else b""))
            offset = following
    return path
