"""Stacks of TIFF pages: ImageJ hyperstacks, stacks with a shape in their description, plain ones."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, counted
from cicimage.recording.arrangement import Arrangement
from cicimage.recording.axes import Axes, share_out, where_planes_lie
from cicimage.recording.ifd import Ifd, TiffLayout
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import NO_LENGTH, SECONDS, UM, MetadataValidator, factor_of
from cicimage.recording.tiff_page import BLACK_IS_ZERO, WHITE_IS_ZERO

_IMAGEJ_COUNTS: Final = {"T": "frames", "Z": "slices", "C": "channels"}  # slowest first
_RESOLUTION_X, _RESOLUTION_Y, _IJ_COUNTS, _IJ_DATA = 282, 283, 50838, 50839


@dataclass(frozen=True)
class _Declared:
    """Declared by the description: lengths by axis (slowest first; None where axes have no names), and planes."""

    lengths: Mapping[str, int] | None
    known: tuple[int, ...]
    n_planes: int | None
    who: str


def arrange_stack(
    path: Path, layout: TiffLayout, axes: Axes | None, series: int | None, given: Collection[str]
) -> Arrangement:
    """Place the planes of a file that is not OME-TIFF.

    Parameters
    ----------
    path : Path
        The file.
    layout : TiffLayout
        Its directories.
    axes : Axes or None
        Order of planes that the experiment file gives.
    series : int or None
        None or 0: such a file holds one recording.
    given : collection of str
        Metadata fields that the experiment file supplies.

    Raises
    ------
    RecordingError
        Planes are missing, their order is not known, or file and experiment differ.
    """
    if series not in (None, 0):
        raise RecordingError(f"{path.name}: holds one series (0), --series {series} was asked for; leave it out")
    validator = MetadataValidator(path.name, given)
    imagej = _imagej_fields(layout.description)
    declared = _imagej_shape(imagej, path.name) if imagej else _shaped(layout.description, layout.images[0])
    layout, declared = _with_planes_apart(layout, declared, axes)
    pages = _pages(path, layout, declared)
    if imagej and any(p.photometric == WHITE_IS_ZERO for p in pages):
        # ImageJ marks a stack shown with an inverted table of colours so, and stores its values as they are.
        validator.note(f"{path.name}: ImageJ shows it inverted; its values are read as stored")
        pages = tuple(replace(p, photometric=BLACK_IS_ZERO) for p in pages)
    colour = pages[0].samples if pages[0].samples > 1 else 0
    order = _order(path.name, pages, declared, axes, validator)
    if colour and order.get("C", 1) > 1:
        raise RecordingError(
            f"{path.name}: has {order['C']} channels of {colour} colour samples each; one of the two must be 1: "
            "save the channels as grey planes"
        )
    where = where_planes_lie(order)
    samples = np.zeros(where.shape[1], np.int64)
    if colour:
        where = np.repeat(where, colour, axis=1)
        samples = np.arange(colour, dtype=np.int64)
    sizes = {"T": where.shape[0], "C": where.shape[1], "Z": where.shape[2]}
    metadata = (
        _imagej_metadata(imagej, layout, sizes, where, validator) if imagej else Metadata(notes=tuple(validator.notes))
    )
    return Arrangement(tuple((path, p) for p in pages), where, samples, metadata)


def _with_planes_apart(layout: TiffLayout, declared: _Declared, axes: Axes | None) -> tuple[TiffLayout, _Declared]:
    """Take samples that lie one after the other for planes, where the file or the experiment has an axis of them.

    A stack of 3 or 4 planes looks like colour to many writers, which store the planes as samples of one page.
    """
    images = layout.images
    samples = images[0].samples
    apart = declared.lengths is not None or (axes is not None and "C" in axes.letters)
    if samples == 1 or not apart or any(p.planar != 2 or p.samples != samples for p in images):
        return layout, declared
    n = declared.n_planes
    if n is not None and declared.lengths is None:  # a shape without axes counts pages
        n *= samples
        declared = replace(declared, n_planes=n, known=(*declared.known, samples))
    if n is not None and n % samples == 0 and n > samples and len(images) == 1 and images[0].compression == 1:
        pages: tuple[Ifd, ...] = (_sample_alone(images[0], 0),)  # one directory for a contiguous run of pages
    elif n is None or n == len(images) * samples:
        pages = tuple(_sample_alone(page, s) for page in images for s in range(samples))
    else:
        return layout, declared
    return replace(layout, pages=pages), declared


def _sample_alone(page: Ifd, sample: int) -> Ifd:
    """One sample of a page that stores its samples one after the other."""
    k = len(page.offsets) // page.samples
    own = slice(sample * k, (sample + 1) * k)
    return replace(page, samples=1, planar=1, offsets=page.offsets[own], byte_counts=page.byte_counts[own])


def _pages(path: Path, layout: TiffLayout, declared: _Declared) -> tuple[Ifd, ...]:
    """All pages; where one directory stands for a contiguous run of planes, one page for each."""
    pages = layout.images
    n = declared.n_planes
    if n is None or n == len(pages):
        return pages
    first = pages[0]
    plane_bytes = first.height * first.width * first.samples * first.bits // 8
    if len(pages) > 1 or n < 1 or first.compression != 1 or first.tiled:
        raise RecordingError(
            f"{path.name}: declares {counted(n, 'plane')} ({declared.who}), found {len(pages)}; not zero-filled: "
            "copy or export the file again"
        )
    start = min(first.offsets)
    fitting = (layout.size - start) // plane_bytes
    if fitting < n:
        raise RecordingError(
            f"{path.name}: plane {fitting} ends at byte {start + (fitting + 1) * plane_bytes}, file has {layout.size}; "
            f"declares {counted(n, 'plane')} ({declared.who}): cut short; copy the file again from the microscope"
        )
    whole = replace(first, segment_height=first.height, byte_counts=(plane_bytes,))
    return tuple(replace(whole, offsets=(start + i * plane_bytes,)) for i in range(n))


def _order(
    name: str, pages: tuple[Ifd, ...], declared: _Declared, axes: Axes | None, validator: MetadataValidator
) -> dict[str, int]:
    """Lengths of the stack's axes, slowest first."""
    n = len(pages)
    says = None if declared.lengths is None else {a: k for a, k in declared.lengths.items() if k > 1}
    if axes is None:
        if declared.lengths is not None:
            return dict(declared.lengths)
        if n == 1:
            return {}
        raise RecordingError(
            f"{name}: holds {n} planes and does not say in which order; give axes in [files] of the experiment file, "
            "e.g. axes = 'TYX'"
        )
    if says is not None and not axes.overrules:
        said = "".join(says) + "YX"
        sized = {a: k for a, k in axes.stack if k is not None}
        differ = any(says.get(a, 1) != k for a, k in sized.items())
        if differ or not set(says) <= set(axes.letters):
            lengths = ", ".join(f"{a} {k}" for a, k in says.items()) or "one plane"
            raise RecordingError(
                f"{name}: the file says {said} ({lengths}), the experiment file {axes.text!r}; mend axes in [files], "
                f"or write '{axes.text}!' to overrule the file"
            )
        return dict(declared.lengths or {})
    order = share_out(axes, n, declared.known, name)
    if says is not None and says != {a: k for a, k in order.items() if k > 1}:
        validator.note(f"{name}: the file says {''.join(says)}YX, read as {axes.text} as the experiment file asks")
    return order


def _imagej_fields(description: str) -> dict[str, str]:
    """Lines of an ImageJ description; empty for others."""
    if not description.startswith("ImageJ="):
        return {}
    lines = (line.partition("=") for line in description.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _imagej_shape(fields: Mapping[str, str], name: str) -> _Declared:
    def count(key: str) -> int:
        text = fields.get(key, "1")
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
            raise RecordingError(f"{name}: ImageJ says {key} = {text}; must be a whole number above 0: save it again")
        return int(text)

    lengths = {axis: count(key) for axis, key in _IMAGEJ_COUNTS.items()}
    images = count("images")
    if math.prod(lengths.values()) != images:
        if math.prod(lengths.values()) != 1:
            text = " x ".join(f"{k} {_IMAGEJ_COUNTS[a]}" for a, k in lengths.items())
            raise RecordingError(
                f"{name}: ImageJ says {images} images and {text}; the product must be the images: save the file again"
            )
        return _Declared(None, (images,), images, "ImageJ images")
    return _Declared(lengths, tuple(k for k in lengths.values() if k > 1), images, "ImageJ images")


def _shaped(description: str, page: Ifd) -> _Declared:
    """Shape and axes from a JSON description {"shape": [...], "axes": "..."}."""
    nothing = _Declared(None, (), None, "")
    if not description.startswith("{"):
        return nothing
    try:
        fields = json.loads(description)
    except (ValueError, RecursionError):
        return nothing
    shape = fields.get("shape") if isinstance(fields, dict) else None
    if not (isinstance(shape, list) and len(shape) >= 2 and all(type(k) is int and k > 0 for k in shape)):
        return nothing
    axes = fields.get("axes")
    if not (isinstance(axes, str) and len(axes) == len(shape)):
        colours = ([page.height, page.width, page.samples], [page.samples, page.height, page.width])
        stack = tuple(shape[:-3] if page.samples > 1 and shape[-3:] in colours else shape[:-2])
        return _Declared(None, stack, math.prod(stack), "shape in its description")
    axes = axes.upper()
    if axes.endswith("YXC") and page.samples == shape[-1] > 1:
        axes = f"{axes[:-1]}S"  # channels behind the pixels are the samples of a page
    stack_axes = axes.removesuffix("S").removesuffix("YX")
    stack = tuple(shape[: len(stack_axes)])
    if axes.removesuffix("S").endswith("YX") and set(stack_axes) <= set("TCZ") and len(set(axes)) == len(axes):
        lengths = dict(zip(stack_axes, stack, strict=True))
        return _Declared(lengths, stack, math.prod(stack), "shape in its description")
    return nothing


def _imagej_metadata(
    fields: Mapping[str, str],
    layout: TiffLayout,
    sizes: Mapping[str, int],
    where: npt.NDArray[np.int64],
    validator: MetadataValidator,
) -> Metadata:
    # ImageJ writes the units of y and z only where they differ from that of x.
    unit = fields.get("unit", "pixel")
    units = {"X": unit, "Y": fields.get("yunit", unit), "Z": fields.get("zunit", unit)}
    factors = {axis: factor_of(text, UM) for axis, text in units.items()}
    um = {
        axis: None if factors[axis] is None else _per_pixel(layout, tag, float(factors[axis] or 0.0))
        for axis, tag in (("X", _RESOLUTION_X), ("Y", _RESOLUTION_Y))
    }
    for text in dict.fromkeys(units.values()):
        if factor_of(text, UM) is None and text.strip().lower() not in NO_LENGTH:
            validator.note(f"{validator.name}: ImageJ unit {text!r} is not a length that is known; not used")
    um_per_px = validator.square(um["X"], um["Y"]) if None not in (factors["X"], factors["Y"]) else None
    spacing = fields.get("spacing") if sizes["Z"] > 1 and factors["Z"] is not None else None
    interval = fields.get("finterval") if sizes["T"] > 1 else None
    if interval is None and sizes["T"] > 1 and "fps" in fields:
        validator.note(
            f"{validator.name}: ImageJ gives only a playback rate (fps = {fields['fps']}); not used as an interval"
        )
    return Metadata(
        um_per_px=um_per_px,
        um_per_z=validator.positive("um_per_z", "spacing", spacing, units["Z"], UM),
        frame_interval_s=validator.positive(
            "frame_interval_s", "finterval", interval, fields.get("tunit", "s"), SECONDS
        ),
        channel_names=_imagej_channels(layout, sizes, where),
        notes=tuple(validator.notes),
    )


def _per_pixel(layout: TiffLayout, tag: int, factor: float) -> float | None:
    """Size of a pixel from a resolution tag (pixels per unit, a fraction)."""
    value = layout.tags.get(tag, ())
    if len(value) != 2:
        return None
    pixels, units = value
    if isinstance(pixels, bytes) or isinstance(units, bytes):
        return None
    return factor * units / pixels if pixels > 0 and units > 0 else None


def _imagej_channels(
    layout: TiffLayout, sizes: Mapping[str, int], where: npt.NDArray[np.int64]
) -> tuple[str, ...] | None:
    """Slice labels, where all planes of a channel carry the same one and channels differ."""
    labels = _imagej_labels(layout)
    if len(labels) != where.size:
        return None
    names = []
    for c in range(sizes["C"]):
        found = {labels[i] for i in where[:, c].ravel().tolist()}
        if len(found) != 1:
            return None
        names.append(found.pop().strip())
    return tuple(names) if all(names) and len(set(names)) == len(names) else None


def _imagej_labels(layout: TiffLayout) -> list[str]:
    """Labels of the slices from ImageJ's own tags: a table of lengths followed by the blocks."""
    counts = [int(v) for v in layout.tags.get(_IJ_COUNTS, ()) if not isinstance(v, bytes)]
    blob = layout.tags.get(_IJ_DATA) or (b"",)
    if not counts or counts[0] > 4096 or counts[0] % 4:
        return []
    data = blob[0] if isinstance(blob[0], bytes) else bytes(int(v) & 255 for v in blob if not isinstance(v, bytes))
    text = "utf-16-le" if layout.byte_order == "<" else "utf-16-be"
    order: Literal["little", "big"] = "little" if layout.byte_order == "<" else "big"
    kinds = [(data[i : i + 4], int.from_bytes(data[i + 4 : i + 8], order)) for i in range(4, counts[0], 8)]
    place, number, labels = counts[0], 1, []
    for kind, n in kinds:
        for _ in range(min(n, len(counts) - number)):
            if kind in (b"labl", b"lbal"):
                labels.append(data[place : place + counts[number]].decode(text, "replace"))
            place += counts[number]
            number += 1
    return labels
