"""What the input checks cost: their CPU time over that of the whole run, measured within one process.

    python benchmarks/input_price.py [--repeats 3] [--long]

Shares of CPU time do not depend on what else the machine does. Counted are the preflight of the file, looking for
absent, saturated, constant and dark pixels, holding channels and frames against each other, and dye in guests; not
counted are the tables of quality, which a run needs anyway. The recordings are two of the sample data, and with
``--long`` one field of the preset `cxcr4-blockade` in its own size.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2

from cicimage.experiment import load_experiment
from cicimage.pipeline.job import Job
from cicimage.pipeline.position import run_position
from cicimage.preprocessing.consistency import ConsistencyCheck
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.write import write_experiment

ROOT: Final = Path(__file__).parents[1]
COUNTED: Final = (
    ("cicimage.pipeline.position", "preflight"), ("cicimage.pipeline.position", "doubts"),
    ("cicimage.pipeline.usable", "look_at"), ("cicimage.pipeline.usable", "fault_of"),
    ("cicimage.pipeline.usable", "bad_pixels"), ("cicimage.pipeline.usable", "lost_ground"),
    ("cicimage.pipeline.sample", "look_at"), ("cicimage.pipeline.sample", "fault_of"),
    ("cicimage.pipeline.sample", "bad_pixels"), ("cicimage.pipeline.sample", "full_scale"),
    ("cicimage.pipeline.detect", "outside_signal"), ("cicimage.pipeline.detect", "frame_findings"),
    ("cicimage.pipeline.detect", "saturation_findings"), ("cicimage.pipeline.judge", "input_faults"),
)  # fmt: skip
"""Functions by the module that calls them; the methods of the check of frames are counted besides."""


class Meter:
    """CPU seconds of functions, each call counted once though one may call another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time noted under a name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside, since = True, time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.process_time() - since
                self._inside = False

        return timed

    def install(self) -> None:
        """Put the meter around every function that counts."""
        for module, name in COUNTED:
            holder = importlib.import_module(module)
            setattr(holder, name, self.around(name, getattr(holder, name)))
        for method in ("add", "findings"):
            timed = self.around(f"ConsistencyCheck.{method}", getattr(ConsistencyCheck, method))
            setattr(ConsistencyCheck, method, timed)


def share(meter: Meter, folder: Path, position: int) -> tuple[float, float, dict[str, float]]:
    """CPU seconds of the checks and of the whole run of one recording, and each check's own."""
    experiment = load_experiment(folder, {})
    meter.seconds.clear()
    with tempfile.TemporaryDirectory() as out:
        job = Job("p0000", experiment.positions[position], experiment.file, Path(out) / "out")
        since = time.process_time()
        receipt = run_position(job, lambda *_: None, look_ahead=False)
        whole = time.process_time() - since
    if receipt["outcome"] != "done":
        raise SystemExit(receipt["error"])
    return sum(meter.seconds.values()), whole, dict(meter.seconds)


def main() -> None:
    """Print the share of every recording, the median of some runs, and what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    meter = Meter()
    meter.install()
    with tempfile.TemporaryDirectory() as work:
        folders = {"sample_data/btki_2d": ROOT / "sample_data/btki_2d",
                   "sample_data/cxcr4_blockade": ROOT / "sample_data/cxcr4_blockade"}  # fmt: skip
        if chosen.long:
            large = PRESETS["cxcr4-blockade"].replace(
                conditions=[PRESETS["cxcr4-blockade"].conditions[0].model_dump()], design__donors=1,
                acquisition__frames=20,
            )  # fmt: skip
            folders["cxcr4-blockade, 512 px, 12 slices, 20 frames"] = Path(work) / "large"
            write_experiment(large, Path(work) / "large", 1)
        for name, folder in folders.items():
            share(meter, folder, 0)  # compiled loops are loaded
            measured = [share(meter, folder, 0) for _ in range(chosen.repeats)]
            middle = statistics.median(checks / whole for checks, whole, _ in measured)
            checks, whole, parts = measured[-1]
            print(f"{name}: {100 * middle:.1f} % of the run's CPU time ({checks:.3f} of {whole:.2f} s)")
            for part, seconds in sorted(parts.items(), key=lambda kv: -kv[1]):
                print(f"    {100 * seconds / whole:5.2f} %  {part}")


if __name__ == "__main__":
    main()
