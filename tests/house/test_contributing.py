"""The example of CONTRIBUTING.md runs as it stands."""

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

from cicimage import methods
from cicimage.experiment import parse
from cicimage.methods import Scene, build

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def fenced(language):
    import textwrap

    return [textwrap.dedent(block) for block in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)]


def test_the_first_segmenter_works(tmp_path, monkeypatch):
    (tmp_path / "bright_guests.py").write_text(fenced("python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("segment_guest.bright", "bright_guests:BrightGuests", methods.ENTRY_POINT_GROUP)
    monkeypatch.setattr(methods, "available", lambda _: {"bright": entry})
    choice = parse(fenced("toml")[1]).choices()["segment_guest"]
    segmenter = build("segment_guest", choice.method, choice.options)
    image = np.random.default_rng(1).normal(100, 3, (1, 80, 80)).astype(np.float32)
    yy, xx = np.mgrid[:80, :80]
    for y, x in ((20, 20), (55, 60)):
        image[0][(yy - y) ** 2 + (xx - x) ** 2 < 36] += 200
    found = segmenter.segment(Scene(image, 1.0, None, (6.0, 12.0)))
    assert len(found.masks) == 2
    sys.modules.pop("bright_guests")
