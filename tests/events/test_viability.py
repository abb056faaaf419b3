"""Death by each marker, drawn as strings: ``.`` unstained, ``#`` stained, ``_`` a gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import host_rows
from drawn_evidence import observed

from cicimage.events.fates import host_deaths
from cicimage.events.timeline import Timeline, timelines
from cicimage.events.viability import dye_losses, judge_viability
from cicimage.methods import Observations


def _line(text: str) -> Timeline:
    shown = "".join({".": "t", "#": "T", "_": "."}[c] for c in text)
    return next(iter(timelines(observed(shown))))


def _judge(text: str, inside: str = "", marker: str | None = "pi", reaches: bool = False) -> tuple[str, np.ndarray]:
    line = _line(text)
    where = np.array([c == "i" for c in inside.ljust(len(text))])
    state, p = judge_viability(line, where, marker=marker, reaches_inside=reaches, signal_sd=5.0, fill=0.3, frames=2)
    return "".join({"alive": "a", "dead": "D", "dying": "d", "unknown": "?"}[s] for s in state), p


@pytest.mark.parametrize(
    ("text", "inside", "marker", "reaches", "expected"),
    [
        ("......", "", "pi", False, "aaaaaa"),
        ("..####", "", "pi", False, "aaDDDD"),
        ("..#...", "", "pi", False, "aaaaaa"),
        ("..##..", "", "pi", False, "aaDDDD"),
        ("..#_##", "", "sytox", False, "aaDDDD"),
        ("..####", "", "caspase", True, "aadddd"),
        ("..####", "", "annexin_v", False, "aadddd"),
        ("..####", "", None, False, "??????"),
        ("......", "  iiii", "pi", False, "aa????"),
        ("......", "  ii  ", "pi", False, "aaaaaa"),
        ("......", "  iiii", "other", True, "aaaaaa"),
        ("....##", "  iiii", "pi", False, "aa??DD"),
        ("######", "", "pi", False, "DDDDDD"),
    ],
)
def test_rules_of_each_marker(text: str, inside: str, marker: str | None, reaches: bool, expected: str) -> None:
    assert _judge(text, inside, marker, reaches)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?.?.?.?", "aaaaaa?"),
        (".??#??#", "a??DDDD"),
        (".??.??#", "aaaa???"),
        (".??#??.", "aaaaaaa"),
        ("#??#??.", "DDDDDDD"),
        (".??##?_", "a??DDDD"),
        ("???????", "???????"),
    ],
)
def test_a_marker_that_is_not_read_in_every_frame(text: str, expected: str) -> None:
    line = _line(text.replace("?", "."))
    read = np.array([c != "?" for c in text])
    line = replace(
        line, death_signal=np.where(read, line.death_signal, np.nan), death_fill=np.where(read, line.death_fill, np.nan)
    )
    nowhere = np.zeros(len(text), bool)
    state, p = judge_viability(line, nowhere, marker="pi", reaches_inside=False, signal_sd=5.0, fill=0.3, frames=2)
    assert "".join({"alive": "a", "dead": "D", "unknown": "?"}[s] for s in state) == expected
    assert (np.isnan(p) == (state == "unknown")).all()


def test_a_host_dies_by_two_readings_however_far_apart() -> None:
    hosts = host_rows(7, range(8), dead_from=3)
    assert host_deaths(hosts) == {7: 3}
    read = hosts["frame"] % 3 == 0
    hosts.loc[~read, ["death_signal", "death_fill"]] = np.nan
    assert host_deaths(hosts) == {7: 3}
    hosts.loc[hosts["frame"] == 6, ["death_signal", "death_fill"]] = np.nan
    assert host_deaths(hosts) == {}


def test_probability_of_death_only_grows() -> None:
    _, p = _judge("...#..####")
    assert (np.diff(p) >= -1e-12).all()
    assert p[0] < 0.05
    assert p[3] < 0.5
    assert p[-1] > 0.95


def _with_dye(observations: Observations, snr: dict[int, list[float]]) -> Observations:
    frames = observations.frames.copy()
    for guest, values in snr.items():
        frames.loc[frames["guest_id"] == guest, "snr"] = values
    return Observations(**{**vars(observations), "frames": frames})


def test_lysis_is_told_from_bleaching() -> None:
    bleaching = (40 * 0.93 ** np.arange(14)).tolist()
    lysed = [*bleaching[:8], *[1.0] * 6]
    observations = observed(*["t" * 14] * 7, marker=None)
    observations = _with_dye(observations, {**dict.fromkeys(range(1, 7), bleaching), 7: lysed})
    lines = list(timelines(observations))
    assert dye_losses(observations, lines) == {7: 8}


def test_a_dip_that_recovers_is_no_lysis() -> None:
    observations = observed(*["t" * 14] * 7, marker=None)
    dip = [40.0] * 6 + [1.0] * 3 + [40.0] * 5
    observations = _with_dye(observations, {7: dip})
    assert dye_losses(observations, list(timelines(observations))) == {}
