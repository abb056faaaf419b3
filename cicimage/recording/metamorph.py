"""MetaMorph series: a .nd file and its name_w1Wave_s1_t1.tif or .stk beside it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cicimage.errors import RecordingError, counted
from cicimage.recording.foreign import choose_series
from cicimage.recording.ifd import Ifd, TiffLayout
from cicimage.recording.metamorph_props import acquired_s, number, pixel_size_um, plane_properties
from cicimage.recording.plane_index import Place, PlaneFile, PlaneIndex
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import UM, MetadataValidator, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles
from cicimage.regular import require_regular

_MOST_ND_BYTES: Final = 16 << 20
_STK_PLANES: Final = 33629  # its count is the number of planes
_ENDINGS: Final = r"\.(?:stk|tiff?)"


@dataclass(frozen=True)
class Series:
    """What a .nd file declares.

    Attributes
    ----------
    stages : tuple of str
        Stage positions by name; one unnamed where the stage did not move.
    waves : tuple of (str, bool)
        Wavelengths with whether they have a z-series.
    n_times, n_slices : int
        Lengths; 1 where there is none.
    um_per_z : str or None
        Step as written.
    by_stage, by_time, by_wave : bool
        Whether file names carry ``_s``, ``_t``, ``_w``.
    """

    stages: tuple[str, ...]
    waves: tuple[tuple[str, bool], ...]
    n_times: int
    n_slices: int
    um_per_z: str | None
    by_stage: bool
    by_time: bool
    by_wave: bool


def read_nd(path: Path) -> Series:
    """Read a .nd file.

    Raises
    ------
    RecordingError
        A count is no positive whole number, or the file stops before its end.
    """
    require_regular(path, RecordingError, most_bytes=_MOST_ND_BYTES)
    text = path.read_bytes().decode("utf-8-sig", "replace")
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    fields = {r[0].strip(): r[1].strip() if len(r) > 1 else "" for r in rows if r}
    if "EndFile" not in fields:
        raise RecordingError(f'{path.name}: ends before its "EndFile": cut short; copy the file again')

    def on(key: str) -> bool:
        return fields.get(key, "FALSE").upper() == "TRUE"

    def count(key: str) -> int:
        value = fields.get(key, "")
        if not (value.isascii() and value.isdigit() and 0 < int(value) < 10**7):
            raise RecordingError(f"{path.name}: {key} is {value!r}; must be a whole number above 0: copy it again")
        return int(value)

    n_stages = count("NStagePositions") if on("DoStage") else 1
    n_waves = count("NWavelengths") if on("DoWave") else 1
    deep = on("DoZSeries")
    return Series(
        stages=tuple(fields.get(f"Stage{i + 1}") or str(i + 1) for i in range(n_stages)),
        waves=tuple(
            (fields.get(f"WaveName{i + 1}", f"w{i + 1}"), deep and fields.get(f"WaveDoZ{i + 1}", "TRUE") == "TRUE")
            for i in range(n_waves)
        ),
        n_times=count("NTimePoints") if on("DoTimelapse") else 1,
        n_slices=count("NZSteps") if deep else 1,
        um_per_z=fields.get("ZStepSize") if deep else None,
        by_stage=on("DoStage"),
        by_time=on("DoTimelapse"),
        by_wave=on("DoWave"),
    )


class MetaMorphReader(Reader):
    """Reads .nd files with the files they stand for; ``axes`` is not used, the .nd file knows them."""

    name = "MetaMorph"
    order = 80
    axes_overrule = False
    suffixes = (".nd",)

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether the first bytes are those of a .nd file."""
        named = listing.path.suffix.lower() == ".nd"
        return named and head.lstrip(b"\xef\xbb\xbf").startswith(b'"NDInfoFile"')

    def parts(self, listing: Listing) -> frozenset[str]:
        """Files that carry the name of a .nd file beside them."""
        series = [re.escape(name[:-3]) for name in listing.files if name.lower().endswith(".nd")]
        if not series:
            return frozenset()
        part = re.compile(rf"(?:{'|'.join(series)})(?:_[wst]\w*.*\.(?:stk|tiff?)|\.stk)", re.IGNORECASE)
        return frozenset(name for name in listing.files if part.fullmatch(name))

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the stage positions."""
        return read_nd(path).stages

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """The .nd file and the files of one stage position."""
        return (path, *sorted(_stacks(path, read_nd(path), series).planes.values()))

    def open(self, path: Path, options: ReadOptions) -> TiffRecording:
        """Open one stage position.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        declared = read_nd(path)
        stage = choose_series(path, declared.stages, options.series)
        files = TiffFiles()
        try:
            stacks = _stacks(path, declared, stage)
            layouts = {p: files.layout(p) for p in stacks.planes.values()}
            pages = {p: _pages(layout) for p, layout in layouts.items()}
            planes = _planes(path, declared, stacks, pages)
            validator = MetadataValidator(path.name, options.given)
            metadata = _metadata(declared, stacks, layouts, validator)
            arrangement = planes.arrange(lambda plane: plane, files, metadata, pages)
            return TiffRecording(path, files, arrangement, options.memory_budget_bytes)
        except BaseException:
            files.close()
            raise


def _planes(
    path: Path, declared: Series, stacks: PlaneIndex[Path], pages: Mapping[Path, tuple[Ifd, ...]]
) -> PlaneIndex[PlaneFile]:
    """Planes of the files of one stage position; each must hold the slices declared."""
    planes: dict[Place, PlaneFile] = {}
    for (t, c, _), file in stacks.planes.items():
        slices = declared.n_slices if declared.waves[c][1] else 1
        if len(pages[file]) != slices:
            raise RecordingError(
                f"{file.name}: {path.name} declares {counted(slices, 'slice')}"
                f", found {len(pages[file])}; not zero-filled: "
                "copy or export the file again"
            )
        planes |= {(t, c, z): PlaneFile(file, z) for z in range(slices)}
    slices_of_series = tuple(range(declared.n_slices))
    return PlaneIndex(path.name, planes, stacks.times, stacks.channels, slices_of_series)


def _stacks(path: Path, declared: Series, stage: int) -> PlaneIndex[Path]:
    """Files of one stage position by time and wave.

    Raises
    ------
    RecordingError
        A file is missing, or there are two.
    """
    pattern = re.compile(
        re.escape(path.stem)
        + (r"_w(?P<wave>.*?)" if declared.by_wave else "")
        + (rf"_s{stage + 1}" if declared.by_stage else "")
        + (r"_t(?P<t>\d+)" if declared.by_time else "")
        + _ENDINGS,
        re.IGNORECASE,
    )
    # A wave named "488" is written w1488: number and name are compared together, signs apart.
    waves = {_letters(f"{i + 1}{name}"): i for i, (name, _) in enumerate(declared.waves)}
    waves |= {str(i + 1): i for i in range(len(declared.waves))}
    labelled = []
    for name in Listing.of(path.parent).files:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        parts = match.groupdict()
        t, c = int(parts.get("t") or 1) - 1, waves.get(_letters(parts.get("wave") or "1"))
        if c is not None and t < declared.n_times:
            labelled.append(((t, c, 0), path.parent / name))

    def twins(_place: Place, first: Path, second: Path) -> str:
        return f"{path.name}: {first.name} and {second.name} are the same stack; keep one of them"

    stacks = PlaneIndex.of(path.name, labelled, twins)
    found = {(t, c) for (t, c, _), _ in labelled}
    missing = [(t, c) for t in range(declared.n_times) for c in range(len(declared.waves)) if (t, c) not in found]
    if missing:
        t, c = missing[0]
        raise RecordingError(
            f"{path.name}: declares {counted(len(found) + len(missing), 'file')} for stage position {stage + 1}, "
            f"found {len(found)} (first missing w{c + 1}, t{t + 1}); not zero-filled: copy them into the same folder"
        )
    return stacks


def _letters(text: str) -> str:
    return "".join(ch for ch in text.lower() if ch.isalnum())


def _pages(layout: TiffLayout) -> tuple[Ifd, ...]:
    """Planes of a file: its pages, or the planes that a .stk or ImageJ stores after the only page."""
    first = layout.images[0]
    if _STK_PLANES in layout.counts:
        n = layout.counts[_STK_PLANES]
    else:
        found = re.match(r"ImageJ=[^\n]*\nimages=(\d{1,9})\n", layout.description)
        n = int(found[1]) if found else 1
    if len(layout.images) > 1 or n == 1 or first.compression != 1 or first.tiled:
        return layout.images
    plane_bytes = first.height * first.width * first.samples * first.bits // 8
    start = min(first.offsets)
    fitting = (layout.size - start) // plane_bytes
    whole = replace(first, segment_height=first.height, byte_counts=(plane_bytes,))
    return tuple(replace(whole, offsets=(start + i * plane_bytes,)) for i in range(min(n, fitting)))


def _metadata(
    declared: Series, stacks: PlaneIndex[Path], layouts: Mapping[Path, TiffLayout], validator: MetadataValidator
) -> Metadata:
    def properties(file: Path) -> Mapping[str, str]:
        return plane_properties(layouts[file], validator.name)

    first = properties(stacks.planes[0, 0, 0])
    time_s = stacks.clock(validator, lambda file: acquired_s(properties(file)))
    step = declared.um_per_z if declared.n_slices > 1 else None
    return Metadata(
        um_per_px=pixel_size_um(first, validator),
        um_per_z=validator.positive("um_per_z", "ZStepSize", step, "um", UM),
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=tuple(name for name, _ in declared.waves),
        na=number(first, "_MagNA_"),
        objective=first.get("_MagSetting_"),
        notes=tuple(validator.notes),
    )
