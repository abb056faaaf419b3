"""The examples of CONTRIBUTING.md are built, installed and run as they stand."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from cicimage.store import read_table
from tests.conftest import draw_movie, write_movie

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANNELS = '[channels]\nhost = "Host"\nguest = "Guest"\n'


def fenced(language):
    return [textwrap.dedent(block) for block in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)]


def call(*command, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def install(tmp_path_factory, module, text, project):
    """Build an example as a wheel and install it into a folder; no network."""
    package, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("target")
    (package / module).write_text(text)
    (package / "pyproject.toml").write_text(project)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    wheels = ("wheel", "--no-build-isolation", "--no-index", "--no-deps", "--wheel-dir", str(target), str(package))
    done = call(*pip, *wheels)
    assert done.returncode == 0, done.stdout + done.stderr
    wheel = next(target.glob("*.whl"))
    done = call(*pip, "install", "--no-index", "--no-deps", "--target", str(target), str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory, "bright_guests.py", fenced("python")[0], fenced("toml")[0])


def test_the_first_segmenter_is_found_with_its_options(installed):
    done = call(sys.executable, "-m", "cicimage", "methods", PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert "\n  bright: Everything brighter than a percentile" in done.stdout
    assert "percentile = 99.0: Percentile above which a pixel is a guest's." in done.stdout
    assert "\n  bright:" not in call(sys.executable, "-m", "cicimage", "methods").stdout


def test_the_first_segmenter_runs(installed, tmp_path):
    movie = draw_movie([(60, 60, 40)], [(50, 50, 4), (75, 70, 4), (15, 60, 4)], frames=3)
    write_movie(tmp_path / "in" / "vehicle" / "A1_f1.ome.tif", movie)
    (tmp_path / "in" / "experiment.toml").write_text(CHANNELS + fenced("toml")[1])
    out = tmp_path / "out"
    command = (sys.executable, "-m", "cicimage", "run", str(tmp_path / "in"), "-o", str(out))
    done = call(*command, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stdout + done.stderr
    cells = read_table(out / "cells.parquet")
    seen = cells[(cells["population"] == "guest") & cells["observed"]]
    assert seen.groupby("frame").size().tolist() == [3, 3, 3]
    places = np.sort(seen.loc[seen["frame"] == 0, "y_um"].to_numpy())
    assert np.allclose(places, [15, 50, 75], atol=1.0)


def test_the_first_reader_is_found_and_runs(tmp_path_factory, tmp_path):
    target = install(tmp_path_factory, "npz_movies.py", fenced("python")[1], fenced("toml")[2])
    done = call(sys.executable, "-m", "cicimage", "methods", PYTHONPATH=str(target))
    assert "\n  NumPy archive (npz-movies): Movies in NumPy archives. [.npz]" in done.stdout, done.stderr
    movie = draw_movie([(24, 32, 14)], [(18, 25, 4), (30, 40, 4)], frames=3, size=64)[:, :2, :48]
    (tmp_path / "in" / "vehicle").mkdir(parents=True)
    scale = {"um_per_px": 1.0, "interval_s": 300.0, "channels": ["Host", "Guest"]}
    np.savez(tmp_path / "in" / "vehicle" / "A1_f1.npz", movie=movie, **scale)
    np.savez(tmp_path / "in" / "vehicle" / "A2_f1.npz", film=movie, **scale)
    (tmp_path / "in" / "experiment.toml").write_text(CHANNELS)
    out = tmp_path / "out"
    command = (sys.executable, "-m", "cicimage", "run", str(tmp_path / "in"), "-o", str(out), "--workers", "1")
    done = call(*command, PYTHONPATH=str(target))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "A2_f1.npz: must hold arrays ['movie']; save them with numpy.savez (reader 'NumPy archive'" in done.stderr
    cells = read_table(out / "cells.parquet")
    seen = cells[(cells["population"] == "guest") & cells["observed"]]
    assert set(seen["position"]) == {"vehicle/A1_f1"}
    assert seen.groupby("frame").size().tolist() == [2, 2, 2]
    assert np.allclose(sorted(seen.loc[seen["frame"] == 0, "y_um"]), [18, 30], atol=1.0)


def test_the_first_estimand_is_counted_compared_and_reported(tmp_path):
    shutil.copytree(ROOT / "cicimage", tmp_path / "cicimage", ignore=shutil.ignore_patterns("__pycache__"))
    entry, function = fenced("python")[2:4]
    registry, tallies = tmp_path / "cicimage" / "estimands.py", tmp_path / "cicimage" / "statistics" / "tallies.py"
    opening = "ESTIMANDS: Final[tuple[Estimand, ...]] = (\n"
    added = textwrap.indent(f"{entry.rstrip()},\n", "    ")
    registry.write_text(registry.read_text().replace(opening, opening + added))
    tallies.write_text(tallies.read_text() + "\n\n" + function)
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cicimage.cli import main; main(sys.argv[1:])"
    recordings, out = ROOT / "sample_data" / "btki_2d", tmp_path / "out"
    done = call(sys.executable, "-c", code, str(tmp_path), "run", str(recordings), "-o", str(out), "--workers", "1",
                PYTHONPATH=str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rates, events = read_table(out / "rates.parquet"), read_table(out / "events.parquet")
    mine = rates[rates["estimand"] == "brief_stay_rate_per_guest_h"].set_index("condition")
    brief = events[events["brief"] & (events["p"] >= 0.5) & (events["excluded_reason"] == "") & ~events["prevalent"]]
    counted = brief[brief["entry_frame"].notna()].groupby("condition").size()
    assert mine["events"].to_dict() == {c: counted.get(c, 0) for c in mine.index}
    assert (mine["exposure_h"] > 10).all()
    assert "brief_stay_rate_per_guest_h" in set(read_table(out / "comparisons.parquet")["estimand"])
    assert "Brief stays: brief stays per 100 guest-hours" in (out / "report.html").read_text()
