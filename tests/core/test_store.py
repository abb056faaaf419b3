"""What is written is whole, checked and found again."""

import errno
import os

import numpy as np
import pandas as pd
import pytest

from cicimage import store
from cicimage.batch.position_keys import assign_keys
from cicimage.errors import ResultsError
from cicimage.fingerprints import fingerprint
from cicimage.locks import lock
from cicimage.mask_store import MaskFile, mask_writer, masks_to_rows
from cicimage.masks import Masks
from cicimage.store import (
    DiskFullError,
    atomic,
    read_arrays,
    read_json,
    read_table,
    write_arrays,
    write_json,
    write_table,
)


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"kept": 1})
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert read_json(path) == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(DiskFullError, match="disk is full; finished positions are kept"):
        write_json(tmp_path / "a.json", 1)
    assert not list(tmp_path.iterdir())


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, pd.DataFrame({"x": np.arange(5000.0)}))
    assert read_table(path)["x"].sum() == 5000 * 4999 / 2
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ResultsError, match="is damaged"):
        read_table(path)


def test_a_missing_table_and_a_foreign_one_are_said(tmp_path):
    with pytest.raises(ResultsError, match="is missing; run `cicimage report` on the folder"):
        read_table(tmp_path / "none.parquet")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(ResultsError, match=r"schema_version must be 1, is \?"):
        read_table(tmp_path / "foreign.parquet")
    (tmp_path / "torn.json").write_text('{"a": ')
    with pytest.raises(ResultsError, match="must be JSON"):
        read_json(tmp_path / "torn.json")


def test_masks_come_back_by_frame_and_population(tmp_path):
    frames = [
        Masks.from_labels(np.array([[1, 1], [0, 2]])),
        Masks([], (2, 2)),
        Masks.from_labels(np.array([[0, 3], [3, 3]])),
    ]
    path = tmp_path / "masks.parquet"
    with mask_writer(path, (2, 2)) as append:
        for t, masks in enumerate(frames):
            append(masks_to_rows(t, "guest", masks))
    file = MaskFile(path)
    for t in (2, 0, 1):
        assert (file.masks(t, "guest").to_labels() == frames[t].to_labels()).all()
    assert len(file.masks(0, "host")) == 0
    assert len(file.masks(99, "guest")) == 0
    with pytest.raises(ResultsError, match="is missing"):
        MaskFile(tmp_path / "none.parquet")


def test_arrays_are_plain_and_pickles_are_refused(tmp_path):
    write_arrays(tmp_path / "a.npz", {"gain": np.eye(2)})
    assert read_arrays(tmp_path / "a.npz")["gain"].trace() == 2
    np.savez(tmp_path / "bad.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ResultsError, match=r"is damaged \(Object arrays cannot be loaded"):
        read_arrays(tmp_path / "bad.npz")


def test_opaque_names_stay_and_do_not_follow_the_conditions():
    names = [f"{c}/w{i}" for c in ("btki", "vehicle") for i in range(4)]
    keys = assign_keys({}, names)
    assert sorted(keys.values()) == [f"p{n:04d}" for n in range(1, 9)]
    assert [keys[n] for n in names] != sorted(keys.values())
    more = assign_keys(keys, [*names, "new/w1"])
    assert {n: more[n] for n in names} == keys
    assert more["new/w1"] == "p0009"


def test_a_lock_is_held_once_and_freed(tmp_path):
    with lock(tmp_path / ".lock", "position 'a'"), pytest.raises(ResultsError, match="another run holds position 'a'"):
        with lock(tmp_path / ".lock", "position 'a'"):
            pass
    with lock(tmp_path / ".lock", "position 'a'"):
        pass


def test_fingerprints_tell_a_changed_file(tmp_path):
    path = tmp_path / "movie.tif"
    path.write_bytes(bytes(20 << 20))
    before = fingerprint(path)
    with path.open("r+b") as file:
        file.seek(10 << 20)
        file.write(b"x")
    assert fingerprint(path) != before
    assert fingerprint(tmp_path)["size"] == 20 << 20


def test_a_full_disk_is_told_wherever_it_is_met(tmp_path, monkeypatch):
    import errno
    import os

    from cicimage.locks import lock
    from cicimage.store import DiskFullError, write_text

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(DiskFullError, match="the disk is full; finished positions are kept"):
            write_text(tmp_path / "a.txt", "x")
        patch.setattr("tempfile.mkstemp", full)
        with pytest.raises(DiskFullError, match="the disk is full"):
            write_text(tmp_path / "a.txt", "x")
        patch.setattr("pathlib.Path.touch", full)
        with pytest.raises(DiskFullError, match="the disk is full"):
            with lock(tmp_path / ".lock", "it"):
                pass
    assert list(tmp_path.iterdir()) == []
