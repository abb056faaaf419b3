"""Readers of other packages: found by an entry point, asked in order, and named where they fail."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from cicimage.errors import ConfigurationError, RecordingError
from cicimage.experiment import load_experiment
from cicimage.recording import Listing, PlaneError, open_recording, reader_registry, recording_files, series_names
from cicimage.recording.reader_registry import broken_readers, installed_readers
from cicimage.store import Results, read_json, read_table
from tests.conftest import draw_movie, write_movie

ROOT = Path(__file__).parents[2]
TOY = '''
import io
import sys
import numpy as np
from cicimage.errors import RecordingError
from cicimage.recording import Metadata, PlaneError, Reader, Recording


class ToyRecording(Recording):
    def __init__(self, path, how):
        self.path, self.how = path, how
        data = path.read_bytes()
        self.movie = np.load(io.BytesIO(data[data.index(b"\\n") + 1:]))
        t, c, y, x = self.movie.shape
        self.sizes = {"T": t, "C": c, "Z": 1, "Y": y, "X": x}
        self.dtype = self.movie.dtype
        names, times = ("Host", "Guest"), None
        if how == "no_z":
            del self.sizes["Z"]
        elif how == "zero":
            self.sizes["T"] = 0
        elif how == "fraction":
            self.sizes["T"] = 2.5
        elif how == "swapped":
            self.sizes["Y"], self.sizes["X"] = x, y
        elif how == "kind":
            self.dtype = np.dtype(complex)
        elif how == "files":
            type(self).files = 7
        elif how == "one_name":
            names = 5
        elif how == "number_names":
            names = (1, 2)
        elif how == "names":
            names = ("Host", "Guest", "Death")
        elif how == "times":
            times = np.arange(t + 1.0)
        elif how == "still":
            times = np.zeros(t)
        um = {"scale": 0.0, "text": "1 um"}.get(how, 1.0)
        self.metadata = Metadata(
            um_per_px=um, frame_interval_s=300.0, channel_names=names, time_s=times,
            modality="Confocal" if how == "word" else None,
        )
        if how == "bare":
            del self.metadata

    def plane(self, t, c, z):
        plane = self.movie[t, c]
        if t == 1 and self.how == "plane_raises":
            raise ZeroDivisionError("a plane")
        if t == 1 and self.how == "plane_exits":
            sys.exit(3)
        if t == 1 and self.how == "damaged":
            raise PlaneError(self.path, t, c, z, "damaged")
        if self.how == "plane_row":
            return plane[:1]
        if self.how == "plane_number":
            return 7
        if self.how == "plane_cut":
            return plane[:-1]
        if self.how == "plane_kind":
            return plane.astype(float)
        return plane

    def close(self):
        pass


class ToyReader(Reader):
    """Toys."""

    name = "Toy"
    suffixes = (".toy",)
    {extra}

    def recognises(self, listing, head):
        return head.startswith(b"TOY")

    def series(self, path):
        how = path.read_text("latin-1").split()[1]
        return {"no_series": (), "numbers": (1, 2)}.get(how, (path.name,))

    def open(self, path, options):
        how = path.read_text("latin-1").split()[1]
        if how == "raises":
            raise KeyError("planes")
        if how == "exits":
            sys.exit(3)
        if how == "refuses":
            raise RecordingError(f"{path.name}: is no toy; buy one")
        if how == "none":
            return None
        return ToyRecording(path, how)
'''
MOVIE = draw_movie([(24, 32, 14)], [(18, 25, 4), (30, 40, 4)], frames=3, size=64)[:, :2, :48]


def bring(folder, module=TOY, *, entry="toy_reader:ToyReader", extra=""):
    """A package in a folder, with the metadata that an installer leaves."""
    (folder / "toy_reader-1.dist-info").mkdir(parents=True)
    (folder / "toy_reader-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-reader\nVersion: 1\n")
    (folder / "toy_reader-1.dist-info" / "entry_points.txt").write_text(f"[cicimage.readers]\ntoy = {entry}\n")
    (folder / "toy_reader.py").write_text(module.replace("{extra}", extra))
    return folder


def toy(path, how="good"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(f"TOY {how} \n".encode())
        np.save(file, MOVIE)
    return path


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package for one test."""

    def install(module=TOY, **options):
        monkeypatch.syspath_prepend(bring(tmp_path / "site", module, **options))
        reader_registry._registry.cache_clear()

    yield install
    sys.modules.pop("toy_reader", None)
    monkeypatch.undo()
    reader_registry._registry.cache_clear()


def whole(path):
    with open_recording(path) as recording:
        return np.stack([recording.frame(t)[:, 0] for t in range(recording.sizes["T"])]), recording.metadata


def test_a_reader_of_another_package_reads(installed, tmp_path):
    path = toy(tmp_path / "v" / "a_f1.toy")
    with pytest.raises(RecordingError, match="not a recording that can be read"):
        open_recording(path)
    installed()
    movie, metadata = whole(path)
    assert np.array_equal(movie, MOVIE)
    assert metadata.channel_names == ("Host", "Guest")
    assert (series_names(path), recording_files(path)) == (("a_f1.toy",), (path,))
    assert [p.position for p in load_experiment(tmp_path).positions] == ["v/a_f1"]


def test_readers_are_asked_in_order(installed, tmp_path):
    path = write_movie(tmp_path / "a.tif", MOVIE)
    takes_tiff = TOY.replace('head.startswith(b"TOY")', 'head[:2] in (b"II", b"MM")').replace(
        "def series(self, path):", "def series(self, path):\n        return ('of the toy',)"
    )
    installed(takes_tiff)
    assert series_names(path) == ("Image0",), "behind the built-in ones unless it says so"
    assert [r.reader.order for r in installed_readers()] == sorted(r.reader.order for r in installed_readers())
    assert [r.reader.name for r in installed_readers() if not r.own] == ["Toy"]
    assert installed_readers()[-1].reader.fallback


def test_a_reader_may_come_before_the_built_in_ones(installed, tmp_path):
    path = write_movie(tmp_path / "a.tif", MOVIE)
    installed(TOY.replace('head.startswith(b"TOY")', 'head[:2] in (b"II", b"MM")'), extra="order = 15")
    assert [r.reader.name for r in installed_readers()][:3] == ["files by name pattern", "Toy", "TIFF"]
    assert series_names(path) == ("a.tif",)


NAMED = "reader 'Toy' of package toy-reader"


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("raises", f"{NAMED} failed at open .KeyError: 'planes'.; report it to the authors"),
        ("exits", f"{NAMED} failed at open .SystemExit: 3."),
        ("refuses", f"is no toy; buy one .{NAMED}"),
        ("none", f"{NAMED} returned a wrong recording: what it opened must be a Recording, got NoneType"),
        ("bare", f"{NAMED} failed at open .AttributeError"),
        ("no_z", "sizes must be whole numbers above 0 for T, C, Z, Y and X, got {'T': 3"),
        ("zero", "sizes must be whole numbers above 0"),
        ("fraction", "sizes must be whole numbers above 0"),
        ("kind", "dtype must be of whole or floating numbers in native byte order, got complex128"),
        ("names", "metadata.channel_names must have 2 entries, got .'Host', 'Guest', 'Death'"),
        ("files", f"{NAMED} failed at open .TypeError"),
        ("one_name", f"{NAMED} failed at open .TypeError"),
        ("number_names", "metadata.channel_names must be texts, got .1, 2."),
        ("word", "metadata.modality must be confocal .* brightfield or None, got 'Confocal'"),
        ("times", "metadata.time_s must be 3 rising times"),
        ("still", "metadata.time_s must be 3 rising times"),
        ("scale", "metadata.um_per_px must be a number above 0 or None, got 0.0"),
        ("text", "metadata.um_per_px must be a number above 0 or None, got '1 um'"),
        ("swapped", "plane t=0, c=0, z=0 must have 64 x 48 pixels, got 48 x 64"),
        ("plane_raises", f"{NAMED} failed at plane t=1, c=0, z=0 .ZeroDivisionError: a plane"),
        ("plane_exits", f"{NAMED} failed at plane t=1, c=0, z=0 .SystemExit: 3"),
        ("plane_row", "plane t=0, c=0, z=0 must have 48 x 64 pixels, got 1 x 64"),
        ("plane_number", "must have 48 x 64 pixels, got one number"),
        ("plane_cut", "must have 48 x 64 pixels, got 47 x 64"),
        ("plane_kind", "plane t=0, c=0, z=0 must be of uint16, got float64"),
    ],
)
def test_what_a_reader_gets_wrong_names_it_and_its_package(installed, tmp_path, how, sentence):
    installed()
    with pytest.raises(RecordingError, match=sentence) as caught:
        whole(toy(tmp_path / "a.toy", how))
    assert NAMED in str(caught.value)
    assert not isinstance(caught.value, PlaneError), "a fault of the reader is no damaged plane"


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("def files(self, path, series):\n        return 7", recording_files),
        ("def files(self, path, series):\n        return [7]", recording_files),
        ("def files(self, path, series):\n        return [][series]", recording_files),
        ("def series(self, path):\n        yield 'a'\n        raise ValueError", series_names),
        ("def series(self, path):\n        return None", series_names),
        ("def recognises(self, listing, head):\n        return np.array([True, False])", series_names),
        ("def recognises(self, listing, head):\n        raise SystemExit", series_names),
    ],
)
def test_what_a_reader_returns_is_converted_where_its_faults_are_named(installed, tmp_path, method, ask):
    installed(f"{TOY}\n    {method}\n")
    with pytest.raises(RecordingError, match=f"{NAMED} failed at (files|series|recognises)"):
        ask(toy(tmp_path / "a.toy"))


def test_a_plane_that_a_reader_calls_damaged_costs_one_frame(installed, tmp_path):
    installed()
    with open_recording(toy(tmp_path / "a.toy", "damaged")) as recording:
        assert recording.frame(0).shape == (2, 1, 48, 64)
        with pytest.raises(PlaneError, match="t=1, c=0, z=0 cannot be decoded"):
            recording.frame(1)


def test_a_plane_over_the_budget_is_refused(installed, tmp_path):
    installed()
    with pytest.raises(RecordingError, match="a plane needs .* budget"):
        open_recording(toy(tmp_path / "a.toy"), memory_budget_bytes=1000)


@pytest.mark.parametrize(("how", "got"), [("no_series", r"\(\)"), ("numbers", r"\(1, 2\)")])
def test_series_must_be_names(installed, tmp_path, how, got):
    installed()
    path = toy(tmp_path / "v" / "a_f1.toy", how)
    with pytest.raises(RecordingError, match=f"{NAMED} returned wrong series: must be one name or more, got {got}"):
        series_names(path)
    (tmp_path / "v" / "experiment.toml").write_text('[files]\nseries = "all"\npattern = "{well}_f{field}"\n')
    assert [p.position for p in load_experiment(tmp_path / "v").positions] == ["a_f1"], "its run will say why"


@pytest.mark.parametrize(
    ("module", "options", "sentence"),
    [
        ("raise RuntimeError('no licence')", {}, "cannot be loaded .RuntimeError: no licence"),
        ("import sys\nsys.exit(1)", {}, "cannot be loaded .SystemExit"),
        (TOY, {"entry": "toy_reader:Toy"}, "cannot be loaded .AttributeError"),
        (TOY, {"entry": "toy_reader:ToyRecording"}, "toy_reader:ToyRecording must subclass Reader"),
        (TOY.replace("def recognises", "def recognizes"), {}, "abstract"),
        (TOY, {"extra": "suffixes = '.toy'"}, "suffixes must be a tuple of texts, got '.toy'"),
        (TOY, {"extra": "suffixes = ('',)"}, "endings must be such as '.tif', in lower case, got ''"),
        (TOY, {"extra": "suffixes = ('.TOY',)"}, "in lower case, got '.TOY'"),
        (TOY, {"extra": "name = ''"}, "name must be a text and order a whole number"),
        (TOY, {"extra": "order = 'first'"}, "name must be a text and order a whole number"),
        (TOY, {"extra": "def installed(self):\n        return self.licence"}, "has no attribute 'licence'"),
    ],
)
def test_a_reader_that_cannot_be_loaded_is_said_and_costs_no_other(installed, tmp_path, module, options, sentence):
    installed(module, **options)
    write_movie(tmp_path / "in" / "v" / "a_f1.tif", MOVIE)
    loaded = load_experiment(tmp_path / "in")
    assert [p.position for p in loaded.positions] == ["v/a_f1"]
    assert len(loaded.unread) == len(broken_readers()) == 1
    assert loaded.unread[0].startswith("not read: what one reader would take; reader 'toy' of package toy-reader")
    with pytest.raises(ConfigurationError, match=sentence):
        raise ConfigurationError(loaded.unread[0])
    with pytest.raises(RecordingError, match=sentence):
        open_recording(toy(tmp_path / "b.toy"))


@pytest.mark.parametrize("verb", ["recognises(self, listing, head)", "parts(self, listing)"])
def test_a_reader_that_fails_to_look_at_a_folder_is_left_out_and_said(installed, tmp_path, verb):
    fails = TOY + f"\n    def {verb}:\n        return listing.nothing\n"
    installed(fails, extra="exports = True")
    for name in ("v/a_f1.tif", "w/b_f1.tif"):
        write_movie(tmp_path / "in" / name, MOVIE)
    loaded = load_experiment(tmp_path / "in")
    assert [p.position for p in loaded.positions] == ["v/a_f1", "w/b_f1"]
    assert len(loaded.unread) == 1
    assert f"{NAMED} failed at {verb.partition('(')[0]} (AttributeError" in loaded.unread[0]


def test_an_export_that_a_reader_knows_by_what_is_in_it_is_one_recording(installed, tmp_path):
    """A folder of another maker, with a part that has the ending of a recording."""
    takes = TOY + textwrap.indent(
        textwrap.dedent("""
        def recognises(self, listing, head):
            return "toy.index" in listing.files

        def series(self, path):
            return ("B/2/1", "r03c04/7")
        """),
        "    ",
    )
    installed(takes, extra="exports = True")
    write_movie(tmp_path / "in" / "plate" / "tile.tif", MOVIE)
    (tmp_path / "in" / "plate" / "toy.index").touch()
    (tmp_path / "in" / "experiment.toml").write_text('[files]\nseries = "all"\npattern = "{plate}/{well}_f{field}"\n')
    found = load_experiment(tmp_path / "in").positions
    assert [(p.position, p.series) for p in found] == [("plate/B02_f1", 0), ("plate/C04_f7", 1)]


def test_a_listing_shows_names_and_opens_nothing(tmp_path):
    (tmp_path / "a" / "Images").mkdir(parents=True)
    (tmp_path / "a" / "Images" / "x.tif").touch()
    (tmp_path / "a" / "b.toy").touch()
    listing = Listing.of(tmp_path / "a")
    assert (listing.is_folder, listing.files, listing.folders) == (True, ("b.toy",), ("Images",))
    assert listing.below("Images").files == ("x.tif",)
    assert not Listing.of(tmp_path / "a" / "img_{t}.tif").exists


def test_an_installation_without_its_own_readers_is_said(monkeypatch):
    monkeypatch.setattr(reader_registry, "entry_points", lambda group: [])
    reader_registry._registry.cache_clear()
    with pytest.raises(ConfigurationError, match="readers of cicimage itself are not registered; install cicimage"):
        installed_readers()
    reader_registry._registry.cache_clear()


def call(*command, site):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(site)}
    command = (sys.executable, "-m", "cicimage", *map(str, command))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_each_fault_of_a_reader_costs_its_position_alone(tmp_path):
    """A whole run: good toys and a TIFF are measured, each bad toy fails with a sentence that names the package."""
    site, root, out = bring(tmp_path / "site"), tmp_path / "in", tmp_path / "out"
    faults = ("raises", "swapped", "plane_row", "plane_exits")
    for how in ("good", *faults):
        toy(root / "v" / f"{how.replace('_', '-')}_f1.toy", how)
    write_movie(root / "v" / "plain_f1.tif", MOVIE, names=("Host", "Guest"))
    (root / "experiment.toml").write_text('[channels]\nhost = "Host"\nguest = "Guest"\n')
    assert "  Toy (toy-reader): Toys." in call("methods", site=site).stdout
    done = call("run", root, "-o", out, "--workers", "1", site=site)
    assert done.returncode == 3, done.stdout + done.stderr
    receipts = {
        name: read_json(Results(out).position(key).receipt)
        for name, key in read_json(out / "run.json")["positions"].items()
    }
    outcomes = {name: (r["outcome"], r.get("kind")) for name, r in receipts.items()}
    assert outcomes == {
        "v/good_f1": ("done", None), "v/plain_f1": ("done", None),
        **{f"v/{how.replace('_', '-')}_f1": ("failed", "input") for how in faults},
    }  # fmt: skip
    for how in faults:
        assert NAMED in receipts[f"v/{how.replace('_', '-')}_f1"]["error"], json.dumps(receipts, indent=1)
    guests = read_table(out / "guests.parquet")
    assert guests.groupby("position").size().to_dict() == {"v/good_f1": 2, "v/plain_f1": 2}
