"""OME-TIFF: planes placed by the OME-XML, in this file and in its companion files."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, counted
from cicimage.recording.arrangement import Arrangement
from cicimage.recording.axes import Axes
from cicimage.recording.ifd import Ifd, TiffLayout
from cicimage.recording.ome_xml import OmeImage, TiffData, images_of, read_image
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import MetadataValidator
from cicimage.recording.tiff_files import TiffFiles
from cicimage.recording.tiff_page import page_dtype
from cicimage.recording.xml_tree import parse_xml
from cicimage.regular import require_regular

_MOST_XML_BYTES: Final = 256 * 1024**2
_TYPES: Final = {
    "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32",
    "float": "float32", "double": "float64",
}  # fmt: skip


def is_ome(layout: TiffLayout) -> bool:
    """Whether the first page carries OME-XML."""
    head = layout.description[:4096].lstrip("\ufeff \r\n\t")
    return head.startswith("<") and "<OME" in head.replace("<ome:OME", "<OME")


def ome_series(path: Path, layout: TiffLayout) -> tuple[str, ...]:
    """Names of the images of the document.

    Parameters
    ----------
    path : Path
        The file.
    layout : TiffLayout
        Its directories.
    """
    return tuple(e.get("Name", "") for e in images_of(_document(path, layout)))


def arrange_ome(
    path: Path,
    layout: TiffLayout,
    files: TiffFiles,
    axes: Axes | None,
    series: int | None,
    given: Collection[str],
) -> Arrangement:
    """Place the planes of one image of an OME-TIFF.

    Parameters
    ----------
    path : Path
        The file.
    layout : TiffLayout
        Its directories.
    files : TiffFiles
        Reads the layouts of the other files of the document.
    axes : Axes or None
        Order of planes that the experiment file gives; it must agree with the document.
    series : int or None
        Which image, 0-based.
    given : collection of str
        Metadata fields that the experiment file supplies.

    Raises
    ------
    RecordingError
        Bad XML, several images and none chosen, a companion missing or outside the folder, planes declared and
        not there, or sizes that differ from the pages'.
    """
    root = _document(path, layout)
    validator = MetadataValidator(path.name, given)
    image = read_image(root, _choose(path.name, root, series), validator)
    if axes is not None:
        _compare_axes(path.name, image, axes)
    companions = _companions(path, root, image)
    pages: list[tuple[Path, Ifd]] = []
    starts: dict[Path, tuple[int, int]] = {}
    for companion in companions:
        found = layout if companion == path else files.layout(companion)
        starts[companion] = len(pages), len(found.pages)
        pages.extend((companion, page) for page in found.pages)
    where, samples = _place(path, root, image, pages, starts)
    _compare_pixels(path.name, image, pages, where)
    metadata = image.metadata
    if len(images_of(root)) == 1:
        metadata = _with_pages_left(path.name, metadata, pages, where)
    return Arrangement(tuple(pages), where, samples, metadata)


def _with_pages_left(
    name: str, metadata: Metadata, pages: list[tuple[Path, Ifd]], where: npt.NDArray[np.int64]
) -> Metadata:
    """Note pages like those of the image that the document places nowhere: frames that are not read."""
    key = pages[int(where[0, 0, 0])][1].key
    used = set(np.unique(where).tolist())
    n = sum(i not in used and page.key == key and not page.thumbnail for i, (_, page) in enumerate(pages))
    if not n:
        return metadata
    said = (
        f"{name}: holds {counted(n, 'more plane')} like those of its image, which its OME-XML places nowhere; not read"
    )
    return replace(metadata, notes=(*metadata.notes, said))


def _document(path: Path, layout: TiffLayout) -> Element:
    text = layout.description
    if len(text) > _MOST_XML_BYTES:
        raise RecordingError(f"{path.name}: OME-XML has {len(text)} bytes, at most {_MOST_XML_BYTES}; export it again")
    root = parse_xml(text, path.name)
    pointer = root.find("BinaryOnly")
    if pointer is not None:
        companion = beside(path, pointer.get("MetadataFile", ""))
        require_regular(companion, RecordingError)
        if not companion.is_file():
            raise RecordingError(
                f"{path.name}: its metadata are in {companion.name}, which is not in the folder; copy that file too"
            )
        if companion.stat().st_size > _MOST_XML_BYTES:
            raise RecordingError(f"{companion.name}: more than {_MOST_XML_BYTES} bytes of XML; export it again")
        root = parse_xml(companion.read_bytes(), companion.name)
    return root


def beside(path: Path, name: str) -> Path:
    """Path of a file named in metadata, which must lie in the folder of the file that names it.

    Parameters
    ----------
    path : Path
        The file that names the other.
    name : str
        Name as written.
    """
    plain = name and name not in (".", "..") and PurePosixPath(name).name == name == PureWindowsPath(name).name
    candidate = path.parent / (name or "?")
    if not plain or (candidate.exists() and candidate.resolve().parent != path.parent.resolve()):
        raise RecordingError(
            f"{path.name}: names {name!r}, which lies outside its folder; only files beside it are opened: "
            "put them together and export again"
        )
    return candidate


def _choose(name: str, root: Element, series: int | None) -> Element:
    images = images_of(root)
    if not images:
        raise RecordingError(f"{name}: its OME-XML holds no image; export the file again")
    if series is None and len(images) == 1:
        return images[0]
    if series is None or not 0 <= series < len(images):
        listed = ", ".join(f"{i} {e.get('Name', '')!r}" for i, e in enumerate(images[:6]))
        more = ", ..." if len(images) > 6 else ""
        asked = "" if series is None else f"; --series {series} is not one of them"
        raise RecordingError(
            f"{name}: holds {len(images)} series ({listed}{more}){asked}; choose --series 0 to {len(images) - 1}, "
            'or take each as a recording by series = "all" in [files]'
        )
    return images[series]


def _compare_axes(name: str, image: OmeImage, axes: Axes) -> None:
    says = {a: image.sizes[a] for a in reversed(image.order) if a in "TCZ" and image.sizes[a] > 1}
    sized = {a: k for a, k in axes.stack if k is not None}
    if set(says) <= set(axes.letters) and all(image.sizes[a] == k for a, k in sized.items()):
        return
    lengths = ", ".join(f"{a} {k}" for a, k in says.items()) or "one plane"
    raise RecordingError(
        f"{name}: the file says {''.join(says)}YX ({lengths}), the experiment file {axes.text!r}; mend axes in "
        f"[files], or write '{axes.text}!' to overrule the file"
    )


def _companions(path: Path, root: Element, image: OmeImage) -> list[Path]:
    """All files that hold planes of the image, the file itself under whatever name it has now."""
    found: dict[Path, None] = {}
    for block in image.blocks:
        found[_file_of(path, root, image, block)] = None
    missing = [p.name for p in found if not p.is_file()]
    if missing:
        declared = image.sizes["T"] * image.sizes["Z"] * max(len(image.samples), 1)
        raise RecordingError(
            f"{path.name}: declares {counted(declared, 'plane')} in {counted(len(found), 'file')}, "
            f"{len(missing)} of them missing (first {missing[0]}); not zero-filled: copy them into the same folder"
        )
    return list(found) or [path]


def _file_of(path: Path, root: Element, image: OmeImage, block: TiffData) -> Path:
    own_uuid = root.get("UUID")
    if block.file_name is None or (own_uuid is not None and block.uuid == own_uuid):
        return path
    named = beside(path, block.file_name)
    # A file that was renamed still names itself as before: one name for all planes means this file.
    alone = len({b.file_name for b in image.blocks}) == 1
    return path if alone and not named.exists() else named


def _place(
    path: Path,
    root: Element,
    image: OmeImage,
    pages: list[tuple[Path, Ifd]],
    starts: dict[Path, tuple[int, int]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Index of the page per (t, c, z) and sample per channel."""
    # Counted before anything of that length is made: the number may be two billion.
    fewest = image.sizes["T"] * image.sizes["Z"] * (len(image.samples) or image.sizes["C"])
    if fewest > len(pages):
        raise RecordingError(_too_few(path.name, fewest, len(pages)))
    colours = image.samples or (1,) * image.sizes["C"]
    if sum(colours) != image.sizes["C"]:
        raise RecordingError(
            f"{path.name}: declares {counted(image.sizes['C'], 'channel')}, describes {sum(colours)}; "
            "export the file again"
        )
    sizes = {"T": image.sizes["T"], "C": len(colours), "Z": image.sizes["Z"]}
    declared = math.prod(sizes.values())
    where = np.full((sizes["T"], sizes["C"], sizes["Z"]), -1, np.int64)
    axes = image.order[2:]  # fastest first
    lengths = tuple(sizes[a] for a in reversed(axes))
    for block in image.blocks or (TiffData((0, 0, 0), None, None, None, None),):
        start, held = starts[_file_of(path, root, image, block)]
        ifd = block.ifd or 0
        t, c, z = block.first
        if t >= sizes["T"] or c >= sizes["C"] or z >= sizes["Z"]:
            raise RecordingError(
                f"{path.name}: places a plane at t={t}, c={c}, z={z}, its sizes are {sizes}; export the file again"
            )
        first = int(np.ravel_multi_index(tuple({"T": t, "C": c, "Z": z}[a] for a in reversed(axes)), lengths))
        count = block.count if block.count is not None else (1 if block.ifd is not None else declared - first)
        if count and (ifd + count > held or first + count > declared):
            raise RecordingError(_too_few(path.name, max(declared, ifd + count), held))
        place = dict(zip(reversed(axes), np.unravel_index(np.arange(first, first + count), lengths), strict=True))
        here, placed = (place["T"], place["C"], place["Z"]), start + ifd + np.arange(count)
        again = np.flatnonzero((where[here] >= 0) & (where[here] != placed))
        if again.size:
            t, c, z = (int(index[again[0]]) for index in here)
            raise RecordingError(
                f"{path.name}: places two planes at t={t}, c={c}, z={z}; each place must have one: export it again"
            )
        where[here] = placed
    if (where < 0).any():
        raise RecordingError(_too_few(path.name, declared, int((where >= 0).sum())))
    used, times = np.unique(where, return_counts=True)
    if (times > 1).any():
        t, c, z = np.argwhere(where == used[times.argmax()])[1].tolist()
        raise RecordingError(
            f"{path.name}: places one plane of the file at {times.max()} places (again at t={t}, c={c}, z={z}); each "
            "place must have its own: export the file again"
        )
    samples = np.concatenate([np.arange(n, dtype=np.int64) for n in colours])
    return np.repeat(where, colours, axis=1), samples


def _too_few(name: str, declared: int, found: int) -> str:
    said = f"{name}: declares {counted(declared, 'plane')}, found {found}"
    return f"{said}; not zero-filled: copy or export the file again"


def _compare_pixels(name: str, image: OmeImage, pages: list[tuple[Path, Ifd]], where: npt.NDArray[np.int64]) -> None:
    page = pages[int(where[0, 0, 0])][1]
    dtype = page_dtype(page)
    if dtype is None:
        return  # the page itself is refused, with what its bits are
    declared = (image.sizes["Y"], image.sizes["X"], _TYPES.get(image.pixel_type, image.pixel_type))
    held = (page.height, page.width, str(dtype))
    if declared != held:
        raise RecordingError(
            f"{name}: OME-XML declares planes of {declared[0]} x {declared[1]} {declared[2]}, the file holds "
            f"{held[0]} x {held[1]} {held[2]}; both must agree: export the file again"
        )
    colours = set(image.samples or (1,))
    if colours != {page.samples}:
        raise RecordingError(
            f"{name}: OME-XML declares {max(colours)} samples per pixel, its pages have {page.samples}; export it again"
        )
