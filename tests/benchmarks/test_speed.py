"""The speed benchmark goes through on a miniature recording, keeps what it measured, and says what it was worth."""

import json
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PART = {"wall": 2.0, "processor": 3.0, "peak": 2**20, "others": 0.0, "load": 0.5}


@pytest.fixture(scope="module", autouse=True)
def benchmarks_importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def section(*repetitions, wanted=None, others=0.0):
    for repetition in repetitions:
        for part in repetition.values():
            part["others"] = others
    return {
        "about": "A recording.", "commit": "abc", "date": "2026-12-01", "machine": "M.", "versions": "V.",
        "shape": "8 x 8", "wanted": wanted or {"events": 0}, "repetitions": list(repetitions),
    }  # fmt: skip


def repetition(*, floor_s, whole_s, events=3):
    stages = {"detect": 1.0, "link": 0.25, "score": 0.25, "crops": 0.125, "judge": 0.375}
    found = {"guest in a frame": 9, "host in a frame": 2, "guests": 10, "hosts": 2, "events": events}
    run = PART | {
        "wall": whole_s, "first_frame": 0.5, "stages": stages, "steady": 1.625, "report": 1.0, "position_peak": 2**20,
        "found": found,
    }  # fmt: skip
    return {"floor": PART | {"wall": floor_s}, "run": run}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen on Linux alone")
def test_a_miniature_goes_through_and_is_kept(tmp_path, capsys):
    import speed

    few = ["--reduced", "--runs", "1", "--recordings", "plain", "--parts", "scikit-image", "--work", str(tmp_path)]
    page = tmp_path / "page.md"
    speed.main([*few, "--out", str(page)])
    text = page.read_text()
    for row in ("| floor |", "| start to the first frame |", "| crops |", "| whole command |", "| scikit-image: "):
        assert row in text, row
    assert "nan" not in text
    kept = json.loads((tmp_path / "reduced.json").read_text())["plain"]["repetitions"]
    assert kept[0]["run"]["found"]["guests"] > 0
    assert kept[0]["floor"]["planes"] == 6 * 3

    def measured_again(_):
        raise AssertionError("a part that was kept is measured again")

    speed.measure(
        speed.Kept(tmp_path / "reduced.json"), "plain", None, dict.fromkeys(kept[0], measured_again), 1, "run"
    )


def test_ratios_are_of_one_repetition():
    """Medians of ratios, not ratios of medians: the machine was half as fast in the second repetition."""
    from lib.speed_page import page

    done = [repetition(floor_s=1.0, whole_s=4.0), repetition(floor_s=2.0, whole_s=8.0)]
    row = next(
        line for line in page({"plain": section(*done)}, "").splitlines() if line.startswith("| whole command |")
    )
    assert row.split(" | ")[1:3] == ["6.00 (4.00-8.00)", "4.00 (4.00-4.00)"]


@pytest.mark.parametrize(("others", "said"), [(0.3, True), (0.01, False)])
def test_figures_taken_in_company_are_marked(others, said):
    from lib.speed_page import page

    text = page({"plain": section(repetition(floor_s=1, whole_s=4), others=others)}, "")
    assert ("Measured in company, to be repeated in quiet" in text) == said


def test_a_recording_with_too_few_events_is_marked():
    from lib.speed_page import page

    wanted = {"guests": 9, "hosts": 2, "events": 250}
    text = page({"many": section(repetition(floor_s=1, whole_s=4, events=249), wanted=wanted)}, "")
    assert "Less than this recording must hold: 249 events of 250." in text


def test_measurements_of_another_commit_are_not_gone_on_with(tmp_path):
    import speed

    facts = {"commit": "a", "about": "", "machine": "", "versions": ""}
    kept = speed.Kept(tmp_path / "kept.json")
    kept.begin("plain", facts, resume=True)
    kept.repetition("plain", 0)["floor"] = PART
    kept.begin("plain", facts, resume=True)
    assert kept.repetition("plain", 0) == {"floor": PART}
    kept.begin("plain", facts | {"commit": "b"}, resume=True)
    assert kept.repetition("plain", 0) == {}


def test_a_command_that_fails_is_said():
    from lib.processes import cicimage

    with pytest.raises(RuntimeError, match=r"cicimage status ended with 5: .*must be a results folder"):
        cicimage("status", "/nowhere")


def test_every_recording_can_be_reduced():
    from lib.recordings import RECORDINGS, reduced

    for recording in RECORDINGS.values():
        small = reduced(recording)
        assert small.size_px < recording.size_px
        if small.scenario is not None:
            assert small.scenario.acquisition.size_px * small.tiles == small.size_px
            assert small.scenario.acquisition.slices == recording.slices
            assert small.scenario.acquisition.frames == small.frames
