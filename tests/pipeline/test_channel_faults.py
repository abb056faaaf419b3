"""Channels or frames that do not fit are said in check, run, receipt and report, and nothing is called inside."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from cicimage.cli import main
from cicimage.findings import findings_of
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.write import write_experiment
from cicimage.store import read_json

pytestmark = pytest.mark.slow


def call(*args) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return int(done.value.code)


@pytest.fixture(scope="session", params=["widefield-20x-0.45", "sample"])
def simulated(request, tmp_path_factory) -> Path:
    """One small recording, in 2D and in 3D, as an input folder."""
    preset = PRESETS[request.param]
    side = round(preset.acquisition.size_px * (0.4 if preset.acquisition.size_px > 300 else 1.0))
    scenario = preset.replace(
        conditions=[preset.conditions[0].model_dump()], design__donors=1, acquisition__size_px=side,
        acquisition__frames=16, guests__count=20,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("simulated") / "in"
    write_experiment(scenario, folder, 2)
    return folder


def spoilt(simulated: Path, folder: Path, spoil) -> Path:
    """The same folder with other pixels; metadata stay."""
    shutil.copytree(simulated, folder)
    (path,) = folder.rglob("*.ome.tif")
    with tifffile.TiffFile(path) as file:
        description, pixels = file.pages[0].description, file.asarray()
    changed = spoil(pixels.copy())
    assert changed.shape == pixels.shape
    text = description.encode()  # it has a micro sign
    tifffile.imwrite(path, changed.astype(pixels.dtype), description=text, metadata=None, photometric="minisblack")
    return folder


def channel(movie, c):
    """One channel as (T, ...): the stack is TCYX or TZCYX or TCZYX, with three channels."""
    return np.moveaxis(movie, next(a for a in range(1, movie.ndim - 2) if movie.shape[a] == 3), 0)[c]


def copied(movie):
    channel(movie, 1)[:] = channel(movie, 0)
    return movie


def mirrored(movie):
    movie[8:] = movie[8:, ..., ::-1].copy()
    return movie


def frozen(movie):
    movie[4:8] = movie[3]
    return movie


def run(folder: Path, out: Path):
    assert call("run", folder, "-o", out, "--workers", 1) == 0
    receipt = read_json(next((out / "positions").glob("*/receipt.json")))
    return receipt, pd.read_parquet(next((out / "positions").glob("*/frames.parquet")))


@pytest.mark.parametrize(
    ("spoil", "code", "blocks", "seen_before"),
    [
        (copied, "channels_alike", True, True), (mirrored, "frames_turned", True, None),
        (frozen, "frames_repeated", False, False),
    ],
    ids=["channels alike", "half mirrored", "frozen"],
)  # fmt: skip
def test_a_fault_is_said_and_stops_what_it_must(simulated, tmp_path, capfd, spoil, code, blocks, seen_before):
    folder, out = spoilt(simulated, tmp_path / "in", spoil), tmp_path / "out"
    assert call("check", folder, "--json") == 0
    before = json.loads(capfd.readouterr().out)
    if seen_before is not None:  # a turn lies between frames that may be too far apart in time to be compared
        assert (code in {f["code"] for f in before}) == seen_before
    receipt, frames = run(folder, out)
    found = {f.code: f for f in findings_of(receipt["findings"])}
    assert code in found
    assert found[code].severity == ("unresolved" if blocks else "warning")
    called = frames["location"].isin(["inside", "entering"]) | frames["contact"].isin(["on_top", "under", "between"])
    assert not (blocks and called.any())
    optics = read_json(next((out / "positions").glob("*/optics.json")))
    assert (code in {f["code"] for f in optics["findings"]}) == blocks
    page = (out / "report.html").read_text(encoding="utf-8")
    assert found[code].remedy in html.unescape(page).replace("\xa0", " ")
