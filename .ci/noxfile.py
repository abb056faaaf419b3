"""What `make test-all` runs beyond `make test`: other Pythons, lowest versions, distributions, adapters, R, campaigns.

Each session prints one closing line in the summary of nox; a Python or a program that is not installed is skipped and
named there. One session alone: ``.venv/bin/nox -f .ci/noxfile.py -s lowest``.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "statistics" / "reference"
nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False


def pytest(session: nox.Session, *arguments: str) -> None:
    """Tests in two processes, each file in one of them."""
    session.run("python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *arguments)


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """All tests but the slow ones on other Pythons, with the newest versions of everything."""
    session.chdir(ROOT)
    session.install("pip", "-e", ".[test,napari,nd2,lif,czi]")
    pytest(session, "-m", "not slow")


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The lowest versions that pyproject.toml allows; tests of the core, without those of the source's own style."""
    session.chdir(ROOT)
    session.install("--resolution", "lowest-direct", "-e", ".[nd2,lif,czi]")
    session.install("pytest", "pytest-xdist", "hypothesis", "distributed>=2025.1", "hatchling>=1.25", "statsmodels")
    folders = sorted(p.name for p in (ROOT / "tests").iterdir() if p.is_dir())
    left_out = {"house", "plugin", "benchmarks", "__pycache__"}
    pytest(session, "-m", "not slow", *(f"tests/{name}" for name in folders if name not in left_out))


@nox.session(python="3.11")
def distributions(session: nox.Session) -> None:
    """The source distribution builds the wheel, and the wheel alone runs the demo in an empty folder."""
    session.install("build", "hatchling>=1.25")
    with tempfile.TemporaryDirectory() as scratch:
        session.run("python", "-m", "build", "--outdir", scratch, str(ROOT))
        wheel = next(Path(scratch).glob("*.whl"))
        session.install(str(wheel))
        session.chdir(scratch)
        session.run("cicimage", "simulate", "sample-2d", "--scale", "0.5", "--frames", "8", "-o", "recordings")
        session.run("cicimage", "run", "recordings", "-o", "results")


@nox.session(python="3.11")
def adapters(session: nox.Session) -> None:
    """Cluster and workflow adapters with the real programs: dask, Snakemake, the SLURM array of the examples."""
    session.chdir(ROOT)
    session.install("-e", ".[test,dask]", "snakemake")
    pytest(session, "tests/pipeline/test_cluster.py")


@nox.session(venv_backend="none")
def reference(session: nox.Session) -> None:
    """R computes the values that the tests of statistics hold, and gives the same again."""
    if shutil.which("Rscript") is None:
        session.skip("Rscript is not installed (Debian: r-base-core, r-cran-survival)")
    session.chdir(REFERENCE)
    printed = session.run("Rscript", "survival.R", external=True, silent=True)
    stored, computed = json.loads((REFERENCE / "values.json").read_text()), json.loads(str(printed))
    differing = [name for name in stored if name not in ("R", "survival") and not _same(stored[name], computed[name])]
    if differing or stored.keys() != computed.keys():
        session.error(f"R gives other values than values.json holds for {differing or 'other names'}")


def _same(stored: list[float | None], computed: list[float | None]) -> bool:
    """Whether two lists of numbers agree to nine digits; None stands for not finite."""
    return len(stored) == len(computed) and all(
        a is b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12))
        for a, b in zip(stored, computed, strict=True)
    )


@nox.session(venv_backend="none")
def campaigns(session: nox.Session) -> None:
    """The long campaigns: 100,000 fuzz cases, and kills, bad inputs and full disks; pages go to a scratch folder."""
    session.chdir(ROOT)
    python = str(ROOT / ".venv" / "bin" / "python")
    with tempfile.TemporaryDirectory() as scratch:
        session.run(python, "benchmarks/campaigns/fuzz.py", "--out", f"{scratch}/fuzz.md", external=True)
        session.run(
            python,
            "benchmarks/campaigns/faults.py",
            "--work",
            f"{scratch}/faults",
            "--out",
            f"{scratch}/faults.md",
            external=True,
        )
