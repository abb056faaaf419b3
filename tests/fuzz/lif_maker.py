"""A LIF file of one image, made by hand: header with XML, then one block of memory."""

from __future__ import annotations

import struct

import numpy as np

XML = (
    '<LMSDataContainerHeader Version="2"><Element Name="p" Visibility="1"><Data><Experiment Path=""/></Data>'
    '<Memory Size="0" MemoryBlockID="MemBlock_0"/><Children><Element Name="field" Visibility="1"><Data>'
    "<Image><ImageDescription><Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
    '</Image></Data><Memory Size="{size}" MemoryBlockID="MemBlock_1"/></Element></Children></Element>'
    "</LMSDataContainerHeader>"
)
CHANNEL = (
    '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="65535" '
    'Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{inc}" BitInc="0"/>'
)
DIMENSION = (
    '<DimensionDescription DimID="{i}" NumberOfElements="{n}" Origin="0" Length="{length}" Unit="{unit}" BitInc="0" '
    'BytesInc="{inc}"/>'
)


def lif_xml(movie) -> str:
    """XML of a (T, C, Y, X) uint16 movie."""
    t, c, y, x = movie.shape
    plane = 2 * y * x
    channels = "".join(CHANNEL.format(lut=name, inc=k * plane) for k, name in enumerate(("Green", "Red")[:c]))
    sizes = (
        (1, x, "m", 2, (x - 1) * 1e-6),
        (2, y, "m", 2 * x, (y - 1) * 1e-6),
        (4, t, "s", c * plane, 300.0 * (t - 1)),
    )
    dimensions = "".join(DIMENSION.format(i=i, n=n, unit=u, inc=inc, length=ln) for i, n, u, inc, ln in sizes)
    return XML.format(channels=channels, dimensions=dimensions, size=movie.nbytes)


def lif_bytes(movie, xml: str | None = None) -> bytes:
    """Bytes of the file."""
    text = (lif_xml(movie) if xml is None else xml).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, 5 + len(text), 0x2A, len(text) // 2) + text
    name = "MemBlock_1".encode("utf-16-le")
    pixels = np.ascontiguousarray(movie, "<u2").tobytes()
    block = struct.pack("<IIBQBI", 0x70, 14 + len(name), 0x2A, len(pixels), 0x2A, len(name) // 2) + name
    return head + block + pixels
