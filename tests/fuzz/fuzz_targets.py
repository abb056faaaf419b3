"""What is fuzzed: files a user or an accident may have changed, and the readers they go through.

A target makes sound files once and tries a changed one; only the errors that users are told in a sentence may escape.
``benchmarks/campaigns/fuzz.py`` runs the same targets over many more cases.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from cicimage.batch.plan import open_batch, plan
from cicimage.cli import main
from cicimage.errors import CicimageError
from cicimage.experiment import load_experiment
from cicimage.mask_store import MaskFile, mask_writer, masks_to_rows
from cicimage.masks import Masks
from cicimage.recording import open_recording, preflight
from cicimage.review.edits import parse_edit
from cicimage.review.log import ReviewLog, history, read_log
from cicimage.store import read_arrays, read_table, write_arrays, write_table
from cicimage.tables import GUESTS, conform, empty
from tests.recording.tiff_maker import numbered, write_ome

ODD = (
    b"", b"0", b"-1", b"1e999", b"nan", b"inf", b"null", b"true", b"[]", b"{}", b'""', b"\x00", b"\xff\xfe",
    b"\xc3\x28",
    b"99999999999999999999999", b"\n", b"\r", b",", b";", b'"', b"'''", b"=cmd|'/c calc'!A0", b"../../etc/passwd",
    b"<!DOCTYPE x>", "\u202e".encode(), b"1979-05-27T07:32:00Z", b"0x7f", b"[[a]]", b"a.b.c = 1", b"\\u0000",
)  # fmt: skip
WORDS = re.compile(rb"[A-Za-z_]+|-?\d+(?:\.\d+)?")


def change(data: bytes, rng: np.random.Generator, others: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes: bytes overwritten, cut, doubled, moved, words put in the place of others."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        kind, n = int(rng.integers(8)), len(out)
        at, to = sorted(int(v) for v in rng.integers(0, n + 1, 2))
        to = min(to, at + 64)
        if kind == 0 and n:
            out[int(rng.integers(n))] = int(rng.integers(256))
        elif kind == 1 and n:
            out[int(rng.integers(n))] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del out[at:to]
        elif kind == 3:
            out[at:at] = out[at:to]
        elif kind == 4 and rng.random() < 0.3:
            del out[at:]
        elif kind == 5:
            out[at:to] = ODD[int(rng.integers(len(ODD)))]
        elif words := list(WORDS.finditer(bytes(out[:20_000]))):
            word = words[int(rng.integers(len(words)))]
            other = words[int(rng.integers(len(words)))].group() if kind == 6 else ODD[int(rng.integers(len(ODD)))]
            out[word.start() : word.end()] = other
    return bytes(out)


class Target(ABC):
    """One kind of file and its reader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.sound = self.make()

    @abstractmethod
    def make(self) -> tuple[bytes, ...]:
        """Contents of sound files."""

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Put this content in its place and read it as the program does."""

    def attempt(self, seed: int) -> bool:
        """Try one changed file; True where it was refused with a sentence, False where it was read."""
        rng = np.random.default_rng(seed)
        data = change(self.sound[int(rng.integers(len(self.sound)))], rng)
        try:
            self.read(data)
        except CicimageError as error:
            if "\n" in str(error):
                raise AssertionError(f"must be one line: {error}") from error
            return True
        return False


class Tiff(Target):
    """The gate and the first frame."""

    def make(self):
        movie = numbered(t=2, c=2, z=1, y=8, x=9)
        path = self.folder / "a.tif"
        found = [write_ome(path, movie, compression=c).read_bytes() for c in (None, "zlib", "lzw")]
        for options in ({"imagej": True}, {"bigtiff": True}, {"tile": (16, 16)}):
            tifffile.imwrite(path, movie[:, :, 0], metadata={"axes": "TCYX"}, photometric="minisblack", **options)
            found.append(path.read_bytes())
        return tuple(found)

    def read(self, data):
        path = self.folder / "a.tif"
        path.write_bytes(data)
        preflight(path, memory_budget_bytes=1 << 20)
        with open_recording(path, memory_budget_bytes=1 << 20) as recording:
            recording.frame(0)


FULL_TOML = b"""schema_version = 1
[experiment]
name = "blockade"
reference = "vehicle"
primary = "entry_rate_per_guest_h"
time_zero_h = 0.5
[files]
root = "."
pattern = "{condition}/{well}_f{field}"
axes = "TCYX"
series = 0
[channels]
host = "Host"
guest = 1
death = "Death"
[optics]
na = 0.95
immersion = "air"
modality = "confocal"
um_per_px = 0.325
frame_interval_s = 240
[methods]
score = { method = "hysteresis", persistence_min = 12 }
track_guest = { method = "assignment" }
"""
LONG_TOML = b"""[populations.tumour]
channel = "MyrPalm"
stain = "membrane"
roles = ["host", "guest"]
diameter_um = [12, 25]
[markers.death]
channel = "Death"
kind = "pi"
reaches_inside = false
"""
LAYOUT = (
    b"position,condition,replicate,donor,host_donor,experiment,plate,time_zero_h,btki,dose,dose_unit\n"
    b"vehicle/A1_f1,vehicle,A1,D1,H1,,P1,0.5,no,0,uM\nbtki/A2_f1,+BTKi,A2,D1,H1,,P1,,yes,1.5,uM\n"
)


class ExperimentFile(Target):
    """The experiment file, its methods included."""

    def make(self):
        for name in ("vehicle/A1_f1.tif", "btki/A2_f1.tif"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).touch()
        return FULL_TOML, LONG_TOML

    def read(self, data):
        (self.folder / "experiment.toml").write_bytes(data)
        batch = open_batch(load_experiment(self.folder), self.folder / "out", write=False)
        plan(batch)


class Layout(ExperimentFile):
    """The layout beside a sound experiment file."""

    def make(self):
        super().make()
        (self.folder / "experiment.toml").write_bytes(FULL_TOML)
        return (LAYOUT,)

    def read(self, data):
        (self.folder / "layout.csv").write_bytes(data)
        load_experiment(self.folder)


class ReviewLogFile(Target):
    """A review log with broken lines, and one whose lines were changed and signed again."""

    def make(self):
        path = self.folder / "anna.jsonl"
        log = ReviewLog.open(path, "anna")
        anchor = {"population": "guest", "anchors": [{"frame": 3, "y_um": 1.0, "x_um": 2.0, "mask": "ab"}]}
        for n, kind in enumerate(("entry", "end", "death", "accept", "reject", "link", "break", "exclude_guest")):
            edit = {"kind": kind, "position": "p0001", "guest": anchor, "first": 2, "last": 7, "frame": 4 + n}
            log.append("edit", {"edit": edit})
        log.append("undo", {"of": 2})
        log.append("redo", {"of": 2})
        log.append("shown", {"item": "p0001/3"})
        log.append("finish", {})
        log.close()
        return (path.read_bytes(),)

    def attempt(self, seed):
        self.signed = seed % 2 == 0
        return super().attempt(seed)

    def read(self, data):
        path = self.folder / "anna.jsonl"
        path.write_bytes(signed_again(data) if self.signed else data)
        played = history(read_log(path).records)
        for record in played.done:
            parse_edit(record.body["edit"])


def signed_again(data: bytes) -> bytes:
    """Lines with hashes that fit, as a program of another version may have written them."""
    out, previous = b"", "0" * 64
    for line in data.split(b"\n"):
        text = line.rpartition(b',"hash":"')[0]
        try:
            fields = json.loads(text + b"}")
        except (ValueError, RecursionError):
            continue
        if not isinstance(fields, dict):
            continue
        fields |= {"n": len(out.splitlines()), "previous": previous}
        text = json.dumps(fields, separators=(",", ":")).encode()[:-1]
        previous = hashlib.sha256(text + b"}").hexdigest()
        out += text + b',"hash":"' + previous.encode() + b'"}\n'
    return out


RECEIPT = {
    "schema_version": 1, "outcome": "done", "error": "", "key": "k",
    "stages": {"detect": "a", "link": "b", "judge": "c"},
    "seconds": 1.5, "peak_memory_bytes": 1000, "cicimage": "0.1", "input": {"size": 0, "sha256": "x"},
    "missing_frames": {}, "recording": {"sizes": {"T": 2}, "um_per_px": 1.0, "interval_s": 300.0},
}  # fmt: skip
FAILED = {
    "schema_version": 1, "outcome": "failed", "kind": "input", "error": "empty", "key": "k", "seconds": 0.1,
    "peak_memory_bytes": 5, "cicimage": "0.1",
}  # fmt: skip


class Receipts(ExperimentFile):
    """Receipts, stages and run.json: the plan of the next run, and `cicimage status`."""

    def make(self):
        super().make()
        (self.folder / "experiment.toml").write_bytes(FULL_TOML)
        batch = open_batch(load_experiment(self.folder), self.folder / "out")
        self.run = self.folder / "out" / "run.json"
        self.run_bytes = self.run.read_bytes()
        self.places = (batch.jobs[0].folder / "receipt.json", batch.jobs[0].folder / "stages.json", self.run)
        for place in self.places[:2]:
            place.parent.mkdir(parents=True, exist_ok=True)
        self.experiment = batch.experiment
        small = (RECEIPT, FAILED, {"detect": "a", "link": "b"})
        return *(json.dumps(v).encode() for v in small), self.run_bytes

    def read(self, data):
        self.run.write_bytes(self.run_bytes)
        receipts = data.startswith(b'{"s') and b'"configuration"' not in data
        place = self.places[0] if receipts else self.places[1] if len(data) < 200 else self.places[2]
        place.write_bytes(data)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            with contextlib.suppress(SystemExit):
                main(["status", str(self.folder / "out")])
        plan(open_batch(self.experiment, self.folder / "out", write=False))


class Tables(Target):
    """Parquet tables, masks and arrays."""

    def make(self):
        rows = pd.DataFrame({c.name: [1, 2] if c.dtype == "int64" else [0.5, 1.0] for c in GUESTS.columns})
        for c in GUESTS.columns:
            rows[c.name] = ["a", "b"] if c.dtype == "string" else [True, False] if c.dtype == "bool" else rows[c.name]
        write_table(self.folder / "t", conform(GUESTS, rows))
        write_table(self.folder / "e", empty(GUESTS))
        labels = Masks.from_labels(np.eye(8, dtype=int))
        with mask_writer(self.folder / "m", (8, 8)) as save:
            save(masks_to_rows(0, "guest", labels))
        write_arrays(self.folder / "a", {"x": np.arange(5.0)})
        return tuple((self.folder / n).read_bytes() for n in "tema")

    def read(self, data):
        path = self.folder / "changed"
        path.write_bytes(data)
        if data[:2] == b"PK":
            read_arrays(path)
            return
        read_table(path, "guests")
        MaskFile(path).masks(0, "guest")

    def attempt(self, seed):
        refused = super().attempt(seed)
        with contextlib.suppress(CicimageError):
            MaskFile(self.folder / "changed").masks(0, "guest")
        return refused


TARGETS = {
    "tiff": Tiff, "experiment": ExperimentFile, "layout": Layout, "review log": ReviewLogFile, "receipts": Receipts,
    "tables": Tables,
}  # fmt: skip
