"""The JSON of OME-Zarr (0.1 to 0.5, Zarr 2 and 3): images, plates, wells; every path kept within the folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cicimage.errors import RecordingError
from cicimage.regular import leads_outside, require_regular

_MOST_JSON_BYTES: Final = 64 * 1024**2
# Codecs that only turn bytes into numbers; one of Zarr 2 unpickles.
_CODECS: Final = frozenset((
    "blosc", "bytes", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle", "crc32", "crc32c", "adler32",
    "fletcher32", "transpose", "sharding_indexed", "jpeg2k", "bitround",
))  # fmt: skip


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises
    ------
    RecordingError
        Missing, too long or not JSON.
    """
    require_regular(path, RecordingError)
    if path.is_symlink():
        refuse_outside(path, path.parent)
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise RecordingError(f"{path}: metadata of {path.stat().st_size} bytes, at most {_MOST_JSON_BYTES}")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror}); copy the whole folder again") from None
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}: is not JSON ({error}); copy the folder again") from None


def refuse_outside(path: Path, folder: Path) -> None:
    """Refuse a link within a recording's folder that leads out of it.

    Raises
    ------
    RecordingError
        It leads elsewhere.
    """
    if leads_outside(path, folder):
        raise RecordingError(
            f"{path}: must lie within its recording's folder, is a link out of it; put the file itself there"
        )


def attributes(group: Path) -> Mapping[str, Any]:
    """OME attributes of a group, from the document that its version uses."""
    if (group / "zarr.json").is_file():
        found = read_json(group / "zarr.json").get("attributes", {})
        return _mapping(found.get("ome", found), group)
    if (group / ".zattrs").is_file():
        return _mapping(read_json(group / ".zattrs"), group)
    return {}


def _mapping(value: Any, group: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RecordingError(f"{group}: its attributes are no JSON object; write it again")
    return value


def inside(root: Path, group: Path, name: Any) -> Path:
    """A path named in metadata, which must lie within the recording's folder.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    group : Path
        Group whose metadata name the path.
    name : object
        Name as written.

    Raises
    ------
    RecordingError
        It leads elsewhere.
    """
    target = group / str(name)
    if not isinstance(name, str) or not name or not target.resolve().is_relative_to(root.resolve()):
        raise RecordingError(f"{group}: names {name!r}, which lies outside its folder; only paths within are opened")
    return target


def images(root: Path) -> dict[str, Path]:
    """Image groups by name: the group itself, the fields of a plate's wells, or numbered images.

    Raises
    ------
    RecordingError
        The folder holds no image.
    """
    found = attributes(root)
    if "multiscales" in found:
        return {root.name: root}
    if "plate" in found:
        return dict(_plate(root, found["plate"]))
    if "well" in found:
        return dict(_well(root, root, root.name, found["well"]))
    numbered: dict[str, Path] = {}
    while (root / str(len(numbered))).is_dir() and "multiscales" in attributes(root / str(len(numbered))):
        group = root / str(len(numbered))
        refuse_outside(group, root)
        numbered[group.name] = group
    if not numbered:
        raise RecordingError(f"{root.name}: holds no OME-Zarr image (no multiscales); give the folder of the image")
    return numbered


def _plate(root: Path, plate: Any) -> Iterator[tuple[str, Path]]:
    wells = plate.get("wells") if isinstance(plate, dict) else None
    if not isinstance(wells, list) or not wells:
        raise RecordingError(f"{root.name}: plate lists no wells; write it again")
    for entry in wells:
        name = entry.get("path") if isinstance(entry, dict) else None
        group = inside(root, root, name)
        if not group.is_dir():
            raise RecordingError(f"{root.name}: well {name!r} is declared and not there; copy the whole folder again")
        yield from _well(root, group, str(name), attributes(group).get("well"))


def _well(root: Path, group: Path, name: str, well: Any) -> Iterator[tuple[str, Path]]:
    fields = well.get("images") if isinstance(well, dict) else None
    if not isinstance(fields, list) or not fields:
        raise RecordingError(f"{root.name}: well {name!r} lists no images; write it again")
    for entry in fields:
        field = entry.get("path") if isinstance(entry, dict) else None
        yield f"{name}/{field}", inside(root, group, field)


@dataclass(frozen=True)
class Multiscale:
    """Largest resolution of one image.

    Attributes
    ----------
    array : Path
        Its array.
    axes : tuple of (str, str or None)
        Names in upper case with their units, in the array's order.
    scale : tuple of float
        Size of one step along each axis.
    channels : tuple of str
        Labels, empty where there are none.
    """

    array: Path
    axes: tuple[tuple[str, str | None], ...]
    scale: tuple[float, ...]
    channels: tuple[str, ...]


def multiscale(root: Path, group: Path) -> Multiscale:
    """Read an image group.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    group : Path
        Group of the image.

    Raises
    ------
    RecordingError
        What it must have is not there.
    """
    found = attributes(group)
    try:
        first = found["multiscales"][0]
        dataset = first["datasets"][0]
        axes = tuple(_axis(a) for a in first.get("axes", "tczyx"))
        scale = [1.0] * len(axes)
        key = "coordinateTransformations"
        for transformation in (*dataset.get(key, ()), *first.get(key, ())):
            if transformation.get("type") == "scale":
                scale = [a * float(b) for a, b in zip(scale, transformation["scale"], strict=True)]
        labels = tuple(str(c.get("label", "")) for c in found.get("omero", {}).get("channels", ()))
        return Multiscale(inside(root, group, dataset["path"]), axes, tuple(scale), labels)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{group}: multiscales are not as OME-Zarr says ({error!r}); write it again") from None


def _axis(axis: Any) -> tuple[str, str | None]:
    if isinstance(axis, str):
        return axis.upper(), None
    return str(axis["name"]).upper(), axis.get("unit")


def check_codecs(array: Path) -> None:
    """Refuse arrays whose codecs may do more than turn bytes into numbers.

    Raises
    ------
    RecordingError
        A codec is not one of the known ones.
    """
    if (array / "zarr.json").is_file():
        names = _codec_names(read_json(array / "zarr.json").get("codecs", []))
    else:
        document = read_json(array / ".zarray")
        names = [c.get("id") for c in (document.get("compressor"), *(document.get("filters") or [])) if c]
    for name in names:
        if str(name).removeprefix("numcodecs.") not in _CODECS:
            raise RecordingError(
                f"{array}: codec {name!r} is not one that is read; write it with blosc, gzip, zstd or lz4"
            )


def _codec_names(codecs: Sequence[Mapping[str, Any]]) -> list[Any]:
    names = []
    for codec in codecs:
        names.append(codec.get("name"))
        inner = codec.get("configuration", {})
        names += _codec_names([*inner.get("codecs", []), *inner.get("index_codecs", [])])
    return names
