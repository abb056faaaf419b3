"""OME-XML: what one image declares of its axes, scale, channels, and where its planes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import SECONDS, UM, MetadataValidator, camera_bits, factor_of, median_interval
from cicimage.recording.xml_tree import children

_MODALITIES: Final[Mapping[str, str]] = {
    "laserscanningconfocalmicroscopy": "confocal", "spinningdiskconfocal": "spinning_disk",
    "slitscanconfocal": "confocal", "widefield": "widefield", "wide-field": "widefield",
    "brightfield": "brightfield",
}  # fmt: skip
_IMMERSIONS: Final = ("air", "water", "oil", "glycerol")


@dataclass(frozen=True)
class TiffData:
    """Location of a run of planes; None where the file leaves it out."""

    first: tuple[int, int, int]  # t, c, z
    ifd: int | None
    count: int | None
    file_name: str | None
    uuid: str | None


@dataclass(frozen=True, eq=False)
class OmeImage:
    """One Image of an OME document."""

    name: str
    order: str
    sizes: Mapping[str, int]
    pixel_type: str
    samples: tuple[int, ...]
    blocks: tuple[TiffData, ...]
    metadata: Metadata


def images_of(root: Element) -> list[Element]:
    """The Image elements that have pixels."""
    return [e for e in children(root, "Image") if e.find("Pixels") is not None]


def read_image(root: Element, image: Element, validator: MetadataValidator) -> OmeImage:
    """Read one Image.

    Parameters
    ----------
    root, image : Element
        The document and the Image in it.
    validator : MetadataValidator
        Judges the numbers.

    Raises
    ------
    RecordingError
        A size is no positive integer, or a scale is bad.
    """
    pixels = image.find("Pixels")
    if pixels is None:
        raise RecordingError(f"{validator.name}: OME image has no Pixels; export the file again")
    sizes = {axis: _integer(pixels, f"Size{axis}", validator, at_least=1) for axis in "TCZYX"}
    order = pixels.get("DimensionOrder", "XYZCT")
    if len(order) != 5 or set(order) != set("XYZCT") or order[:2] != "XY":
        raise RecordingError(f"{validator.name}: OME DimensionOrder is {order!r}; must be XY and Z, C, T: export again")
    channels = list(children(pixels, "Channel"))
    samples = tuple(_integer(c, "SamplesPerPixel", validator, default=1, at_least=1) for c in channels)
    blocks = tuple(_tiff_data(e, validator) for e in children(pixels, "TiffData"))
    metadata = _metadata(root, image, pixels, channels, sizes, validator)
    return OmeImage(image.get("Name", ""), order, sizes, pixels.get("Type", ""), samples, blocks, metadata)


def _integer(
    element: Element, attribute: str, validator: MetadataValidator, default: int | None = None, at_least: int = 0
) -> int:
    text = element.get(attribute)
    if text is None and default is not None:
        return default
    if text is None or not text.strip().isascii() or not text.strip().isdigit() or int(text[:20]) < at_least:
        raise RecordingError(
            f"{validator.name}: OME {element.tag} {attribute} is {text!r}; must be a whole number of at least "
            f"{at_least}: export the file again"
        )
    return int(text[:20])


def _tiff_data(element: Element, validator: MetadataValidator) -> TiffData:
    uuid = element.find("UUID")
    t, c, z = (_integer(element, f"First{axis}", validator, default=0) for axis in "TCZ")
    return TiffData(
        first=(t, c, z),
        ifd=None if element.get("IFD") is None else _integer(element, "IFD", validator),
        count=None if element.get("PlaneCount") is None else _integer(element, "PlaneCount", validator),
        file_name=None if uuid is None else uuid.get("FileName"),
        uuid=None if uuid is None or uuid.text is None else uuid.text.strip(),
    )


def _metadata(
    root: Element,
    image: Element,
    pixels: Element,
    channels: list[Element],
    sizes: Mapping[str, int],
    validator: MetadataValidator,
) -> Metadata:
    def length(axis: str, field: str) -> float | None:
        name = f"PhysicalSize{axis}"
        return validator.positive(field, name, pixels.get(name), pixels.get(f"{name}Unit", "um"), UM)

    time_s = _plane_times(pixels, sizes["T"], validator)
    interval = None
    if sizes["T"] > 1 and not (time_s is not None and pixels.get("TimeIncrement") in ("0", "0.0")):
        interval = validator.positive(
            "frame_interval_s",
            "TimeIncrement",
            pixels.get("TimeIncrement"),
            pixels.get("TimeIncrementUnit", "s"),
            SECONDS,
        )
    validator.compare_interval("TimeIncrement", interval, "DeltaT", time_s)
    na, immersion, index, objective = _objective(root, image, validator)
    names = [c.get("Name", "") for c in channels]
    named = len(names) == sizes["C"] and all(names)
    return Metadata(
        um_per_px=validator.square(length("X", "um_per_px"), length("Y", "um_per_px")),
        um_per_z=length("Z", "um_per_z") if sizes["Z"] > 1 else None,
        frame_interval_s=interval if interval is not None else median_interval(time_s),
        time_s=time_s,
        channel_names=tuple(names) if named else None,
        na=na,
        immersion=immersion,
        medium_index=index,
        modality=_modality(channels),
        objective=objective,
        emission_um=_emission(channels, sizes["C"], validator),
        significant_bits=camera_bits(pixels.get("SignificantBits")),
        notes=tuple(validator.notes),
    )


def _plane_times(pixels: Element, n_frames: int, validator: MetadataValidator) -> npt.NDArray[np.float64] | None:
    """Earliest DeltaT of each frame, s."""
    earliest: dict[int, float] = {}  # no array yet: the frames declared may be two billion
    for plane in children(pixels, "Plane"):
        t, text = plane.get("TheT", ""), plane.get("DeltaT")
        factor = factor_of(plane.get("DeltaTUnit", "s"), SECONDS)
        if text is None or factor is None or not (t.isascii() and t.isdigit() and len(t) < 10):
            continue
        try:
            seconds = float(text) * factor
        except ValueError:
            continue
        earliest[int(t)] = min(earliest.get(int(t), seconds), seconds)
    if len(earliest) != n_frames or sorted(earliest) != list(range(n_frames)):
        return None
    return validator.times([earliest[t] for t in range(n_frames)], n_frames)


def _objective(
    root: Element, image: Element, validator: MetadataValidator
) -> tuple[float | None, str | None, float | None, str | None]:
    """NA, immersion, index of the medium and name of the image's objective."""
    settings = image.find("ObjectiveSettings")
    wanted = None if settings is None else settings.get("ID")
    index = None if settings is None else settings.get("RefractiveIndex")
    found = [o for o in root.iter("Objective") if wanted is None or o.get("ID") == wanted]
    medium_index = validator.positive("medium_index", "RefractiveIndex", index, None, {})
    if len(found) != 1:
        return None, None, medium_index, None
    objective = found[0]
    na = validator.positive("na", "LensNA", objective.get("LensNA"), None, {})
    immersion = objective.get("Immersion", "").lower()
    name = objective.get("Model") or objective.get("NominalMagnification")
    return na, immersion if immersion in _IMMERSIONS else None, medium_index, name


def _modality(channels: list[Element]) -> str | None:
    """The one modality of the fluorescence channels; None where they differ or nothing is said."""
    found = {
        _MODALITIES.get((c.get("AcquisitionMode") or c.get("ContrastMethod") or "").lower().replace(" ", ""))
        for c in channels
    }
    return found.pop() if len(found) == 1 else None


def _emission(channels: list[Element], n: int, validator: MetadataValidator) -> tuple[float | None, ...] | None:
    if len(channels) != n:
        return None
    nm = 1e-3
    found = []
    for c in channels:
        text, unit = c.get("EmissionWavelength"), c.get("EmissionWavelengthUnit", "nm")
        try:
            value = float(text) * (factor_of(unit, UM) or nm) if text else None
        except ValueError:
            validator.note(f"{validator.name}: EmissionWavelength = {text} is no number; not used")
            value = None
        found.append(value if value is not None and 0.1 < value < 5 else None)
    return tuple(found) if any(v is not None for v in found) else None
