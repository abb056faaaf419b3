"""OME-TIFF of a movie, written plane by plane, with reproducible bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
import tifffile

from cicimage.simulation.spec import Acquisition

_MODES: Final = {"confocal": "LaserScanningConfocalMicroscopy", "widefield": "WideField"}
_IMMERSIONS: Final = {"air": "Air", "water": "Water", "oil": "Oil"}


def ome_xml(name: str, acquisition: Acquisition, channels: Sequence[str], file_name: str) -> str:
    """Make the OME-XML with sizes, scale, interval, objective and channel names.

    Parameters
    ----------
    name : str
        Image name; the UUID follows from it.
    acquisition : Acquisition
        Sizes, scale, interval, objective.
    channels : sequence of str
        Channel names.
    file_name : str
        Name of the file that holds the planes.

    Returns
    -------
    str
        The document.
    """
    a = acquisition
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"cicimage/{name}")
    z = f' PhysicalSizeZ="{a.um_per_z / a.axial_scale:.6g}" PhysicalSizeZUnit="µm"' if a.slices > 1 else ""
    listed = "".join(
        f'<Channel ID="Channel:0:{i}" Name={quoteattr(c)} SamplesPerPixel="1" AcquisitionMode="{_MODES[a.modality]}">'
        "<LightPath/></Channel>"
        for i, c in enumerate(channels)
    )
    planes = len(channels) * a.slices * a.frames
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
        'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd" '
        f'UUID="urn:uuid:{identity}" Creator="cicimage simulate">'
        '<Instrument ID="Instrument:0">'
        f'<Objective ID="Objective:0" LensNA="{a.na:g}" Immersion="{_IMMERSIONS[a.immersion]}" '
        f'NominalMagnification="{a.magnification:g}"/></Instrument>'
        f'<Image ID="Image:0" Name={quoteattr(name)}><InstrumentRef ID="Instrument:0"/>'
        '<ObjectiveSettings ID="Objective:0"/>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{a.size_px}" SizeY="{a.size_px}" '
        f'SizeZ="{a.slices}" SizeC="{len(channels)}" SizeT="{a.frames}" '
        f'PhysicalSizeX="{a.um_per_px:g}" PhysicalSizeXUnit="µm" PhysicalSizeY="{a.um_per_px:g}" '
        f'PhysicalSizeYUnit="µm"{z} TimeIncrement="{a.interval_min * 60:g}" TimeIncrementUnit="s">'
        f'{listed}<TiffData IFD="0" PlaneCount="{planes}">'
        f'<UUID FileName="{escape(file_name)}">urn:uuid:{identity}</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )


def write_ome_tiff(
    path: Path, name: str, frames: Iterable[npt.NDArray[np.uint16]], acquisition: Acquisition, channels: Sequence[str]
) -> None:
    """Write frames of (C, Z, Y, X) one after another.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    name : str
        Image name; the file's UUID is made from it.
    frames : iterable of (C, Z, Y, X) uint16
        As many as the acquisition has.
    acquisition : Acquisition
        Scale, interval, objective.
    channels : sequence of str
        Channel names.
    """
    xml = ome_xml(name, acquisition, channels, path.name)
    planes = (plane for frame in frames for plane in frame.reshape(-1, *frame.shape[2:]))
    with tifffile.TiffWriter(path, bigtiff=_bytes(acquisition, len(channels)) > 2**31) as writer:
        for i, plane in enumerate(planes):
            writer.write(
                plane, photometric="minisblack", compression="zlib", compressionargs={"level": 6}, metadata=None,
                contiguous=False, description=xml.encode() if i == 0 else None, software=False,
            )  # fmt: skip


def _bytes(acquisition: Acquisition, n_channels: int) -> int:
    return 2 * acquisition.size_px**2 * acquisition.slices * acquisition.frames * n_channels
