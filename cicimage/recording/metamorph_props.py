"""What MetaMorph and MetaXpress write into each TIFF: properties of the plane as XML."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cicimage.recording.ifd import TiffLayout
from cicimage.recording.scale import UM, MetadataValidator
from cicimage.recording.xml_tree import parse_xml


def plane_properties(layout: TiffLayout, name: str) -> Mapping[str, str]:
    """Properties by id; empty where the file has none.

    Parameters
    ----------
    layout : TiffLayout
        Directories of the file.
    name : str
        File name for messages.

    Raises
    ------
    RecordingError
        The XML is not sound.
    """
    text = layout.description.strip()
    if not text.startswith("<MetaData>"):
        return {}
    return {e.get("id", ""): e.get("value", "") for e in parse_xml(text, name).iter() if e.get("id")}


def acquired_s(properties: Mapping[str, str]) -> float:
    """Time of acquisition in seconds on some clock; NaN where it is not written."""
    try:
        return datetime.strptime(properties.get("acquisition-time-local", ""), "%Y%m%d %H:%M:%S.%f").timestamp()
    except ValueError:
        return float("nan")


def pixel_size_um(properties: Mapping[str, str], validator: MetadataValidator) -> float | None:
    """Pixel size, um; None where the plane is not calibrated.

    Parameters
    ----------
    properties : mapping
        Properties of a plane by id.
    validator : MetadataValidator
        Checks the numbers.
    """
    if properties.get("spatial-calibration-state") != "on":
        return None
    unit = properties.get("spatial-calibration-units") or "um"
    x, y = (
        validator.positive(
            "um_per_px", f"spatial-calibration-{a}", properties.get(f"spatial-calibration-{a}"), unit, UM
        )
        for a in "xy"
    )
    return validator.square(x, y)


def number(properties: Mapping[str, str], key: str) -> float | None:
    """A property as a positive number; None where it is none.

    Parameters
    ----------
    properties : mapping
        Properties of a plane by id.
    key : str
        Id of the property.
    """
    try:
        value = float(properties.get(key, ""))
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None
