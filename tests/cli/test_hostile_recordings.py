"""One bad recording never takes the others down: each is named, the sound one is done, and nothing hangs."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time

import pytest

from tests.conftest import draw_movie, write_movie
from tests.recording.test_readers import bring

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, sockets and sparse files are made as on Linux")
TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
LONGEST_S = 30
HANGS = '''"""A reader whose files make it misbehave."""
import os, struct, time
from cicimage.recording import Reader

class ToyReader(Reader):
    name = "Toy"
    suffixes = (".toy",)

    def recognises(self, listing, head):
        return head.startswith(b"TOY")

    def open(self, path, options):
        how = path.read_text().split()[1]
        if how == "sleeps":
            time.sleep(600)
        if how == "hoards":
            held = b"x" * (2 << 30)
            time.sleep(600)
        if how == "aborts":
            os.abort()
        if how == "exits":
            os._exit(0)
        if how == "memory":
            raise MemoryError
        if how == "recursion":
            self.open(path, options)
        struct.unpack("<I", b"")
'''


def toy(how):
    return lambda path: path.with_name("B1_f1.toy").write_text(f"TOY {how} ")


def big_tiff(path, n_tags=9, strips=(1, 8192)):
    """A sparse BigTIFF of 1 TB whose first directory declares what no file holds."""
    with path.with_name("B1_f1.btf").open("wb") as file:
        tags = (
            (256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 16, *strips),
            (277, 3, 1, 1), (278, 4, 1, 64), (279, 16, *strips),
        )  # fmt: skip
        file.write(struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, n_tags))
        file.write(b"".join(struct.pack("<HHQQ", *t) for t in tags))
        file.truncate(10**12)


def directory_without_end(path):
    big_tiff(path, n_tags=10**10)


def strips_without_end(path):
    big_tiff(path, strips=(10**9, 10**6))


def lif_without_end(path):
    with path.with_name("B1_f1.lif").open("wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2**32 - 1, 0x2A, 2**31 - 8) + b"<\0a\0>\0")
        file.truncate(10**12)


def companion_is_a_pipe(path):
    write_movie(path, draw_movie([], [], frames=2, size=32))
    os.mkfifo(path.parent / "m.companion.ome")
    data = path.read_bytes()
    start = data.index(b"<?xml")
    end = data.index(b"\0", start)
    document = b'<OME xmlns="http://www.openmicroscopy.org/"><BinaryOnly MetadataFile="m.companion.ome"/></OME>'
    path.write_bytes(data[:start] + document.ljust(end - start) + data[end:])


def zarr_of(path):
    zarr = pytest.importorskip("zarr")
    folder = path.with_name("B1_f1.ome.zarr")
    group = zarr.create_group(folder, zarr_format=2)
    group.create_array("0", data=draw_movie([], [], frames=3, size=32), chunks=(1, 1, 32, 32))
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [300, 1, 1, 1]}]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [scale]}]
    group.attrs["omero"] = {"channels": [{"label": n} for n in ("Host", "Guest", "Death")]}
    return folder


def a_chunk_of(path):
    chunk = zarr_of(path) / "0" / "1.0.0.0"
    assert chunk.exists()
    chunk.unlink()
    return chunk


def chunk_is_a_pipe(path):
    os.mkfifo(a_chunk_of(path))


def chunk_links_to_a_device(path):
    a_chunk_of(path).symlink_to("/dev/zero")


def chunk_links_outside(path):
    (path.parents[2] / "secret").write_bytes(b"S" * 2048)
    a_chunk_of(path).symlink_to(path.parents[2] / "secret")


def metadata_link_outside(path):
    folder = zarr_of(path)
    shutil.move(folder / ".zattrs", path.parents[2] / "attributes")
    (folder / ".zattrs").symlink_to(path.parents[2] / "attributes")


BAD = {
    "sleeps": (toy("sleeps"), r"reading it took longer than the 3 s allowed"),
    "hoards": (toy("hoards"), r"reading it took more than the 400 MiB of memory allowed"),
    "aborts": (toy("aborts"), r"the process that read it was killed by signal 6"),
    "exits": (toy("exits"), r"the process that read it ended with exit code 0"),
    "recursion": (toy("recursion"), r"reader 'Toy' .* failed at open \(RecursionError"),
    "struct": (toy("struct"), r"reader 'Toy' .* failed at open \(error: unpack"),
    "memory": (toy("memory"), "memory"),
    "directory": (directory_without_end, r"B1_f1\.btf"),
    "strips": (strips_without_end, r"B1_f1\.btf"),
    "lif": (lif_without_end, r"B1_f1\.lif: "),
    "companion": (companion_is_a_pipe, r"must be a regular file, is a named pipe"),
    "chunk pipe": (chunk_is_a_pipe, "must be a regular file, is a named pipe"),
    "chunk device": (chunk_links_to_a_device, "is a link out of it"),
    "chunk outside": (chunk_links_outside, "is a link out of it"),
    "attributes": (metadata_link_outside, "is a link out of it"),
}


@pytest.fixture(scope="module")
def ruined(tmp_path_factory):
    """A folder with a sound recording, and one of each bad kind in a condition of its own; with its environment."""
    root = tmp_path_factory.mktemp("ruined")
    write_movie(
        root / "in" / "sound" / "A1_f1.ome.tif",
        draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=3, size=64),
    )
    (root / "in" / "experiment.toml").write_text(TOML)
    for name, (make, _) in BAD.items():
        path = root / "in" / name / "B1_f1.ome.tif"
        path.parent.mkdir()
        make(path)
    environment = os.environ | {
        "PYTHONPATH": str(bring(root / "package", HANGS)),
        "CICIMAGE_OPENING_SECONDS": "3", "CICIMAGE_OPENING_MIB": "400",
    }  # fmt: skip
    return root, environment


def cicimage(ruined, *arguments):
    root, environment = ruined
    command = [sys.executable, "-m", "cicimage", *map(str, arguments)]
    since = time.monotonic()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done, time.monotonic() - since


def test_check_names_each_bad_recording_and_describes_the_sound_one(ruined):
    done, seconds = cicimage(ruined, "check", "in")
    assert done.returncode == 3
    assert "sound/A1_f1: T3 C3 Y64 X64" in done.stdout
    for name, (_, sentence) in BAD.items():
        said = next((s for s in done.stderr.splitlines() if s.startswith(f"cicimage: {name}/B1_f1: ")), "")
        assert re.search(sentence, said), (name, said, done.stderr)
    assert seconds < LONGEST_S


def test_run_does_the_sound_one_and_status_opens_nothing(ruined):

    done, seconds = cicimage(ruined, "run", "in", "-o", "out", "--no-report")
    assert done.returncode == 3
    assert seconds < 2 * LONGEST_S, "two recordings that break a limit of 3 s, and a few positions"
    said, seconds = cicimage(ruined, "status", "out", "--json")
    positions = json.loads(said.stdout)["positions"]
    assert positions.pop("sound/A1_f1")["state"] == "done"
    for name, (_, sentence) in BAD.items():
        entry = positions[f"{name}/B1_f1"]
        assert entry["state"] == "failed", name
        assert re.search(sentence, entry["error"]), (name, entry["error"])
    assert seconds < 5
    again, _ = cicimage(ruined, "run", "in", "-o", "out", "--no-report")
    assert f"{len(BAD)} positions" in again.stderr
    assert "failed before, left alone" in again.stderr


def test_pipes_and_devices_named_as_recordings_are_not_taken_up(ruined, tmp_path):
    folder = tmp_path / "in" / "v"
    write_movie(folder / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=32))
    os.mkfifo(folder / "A2_f1.ome.tif")
    (folder / "A3_f1.ome.tif").symlink_to(folder / "A2_f1.ome.tif")
    (folder / "A4_f1.ome.tif").symlink_to("/dev/zero")
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    done, seconds = cicimage(ruined, "check", tmp_path / "in")
    assert "v/A1_f1" in done.stdout
    assert "not read: 3 files and folders of a kind that is no recording" in done.stdout
    assert seconds < LONGEST_S


@pytest.mark.parametrize("name", ["experiment.toml", "layout.csv", "platemap.csv", "parameters.toml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_files_of_the_experiment_are_regular_and_small(ruined, tmp_path, name, kind):
    root = tmp_path / "in"
    write_movie(root / "v" / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=32))
    (root / "experiment.toml").write_text(
        TOML
        + '[files]\nplate_map = "platemap.csv"\n' * (name == "platemap.csv")
        + '[methods]\nscore = { method = "markov", parameters = "parameters.toml" }\n' * (name == "parameters.toml")
    )
    (root / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(root / name)
    elif kind == "device":
        (root / name).symlink_to("/dev/zero")
    else:
        with (root / name).open("wb") as file:
            file.truncate(10**11)
    done, seconds = cicimage(ruined, "check", root)
    assert done.returncode == 2, done.stdout
    wanted = {"pipe": "is a named pipe", "device": "is a device", "large": "must be at most 64 MiB, is 95367 MiB"}[kind]
    assert wanted in done.stderr
    assert seconds < LONGEST_S


def test_init_describes_the_sound_one_and_says_which_could_not_be_opened(ruined, tmp_path):
    folder = tmp_path / "in"
    for name in ("sleeps", "aborts"):
        (folder / name).mkdir(parents=True)
        toy(name)(folder / name / "A1_f1.ome.tif")
    write_movie(folder / "sound" / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=32))
    done, seconds = cicimage(ruined, "init", folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "experiment.toml").read_text()
    assert "# could not be opened: B1_f1.toy: the process that read it was killed by signal 6" in text
    assert "# could not be opened: B1_f1.toy: reading it took longer than the 3 s allowed" in text
    assert "# seen in sound/A1_f1: T 2, C 3" in text
    assert seconds < LONGEST_S


@pytest.mark.parametrize("how", ["sleeps", "hoards", "aborts", "exits"])
def test_what_a_window_opens_is_tried_in_a_process_of_its_own(ruined, tmp_path, how):
    toy(how)(tmp_path / "B1_f1.ome.tif")
    root, environment = ruined
    code = (
        "import sys; from pathlib import Path; from cicimage.pipeline.opened import try_opening\n"
        "from cicimage.guard import LimitError\n"
        "try: try_opening(Path(sys.argv[1]), {})\n"
        "except LimitError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "B1_f1.toy")]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "the window goes on"
    assert re.search(BAD[how][1], done.stdout), (done.stdout, done.stderr)
