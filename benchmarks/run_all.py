"""Run the benchmarks one after the other; each writes its table to benchmarks/results."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ORDER: Final = (
    "speed.py",
    "memory.py",
    "linking.py",
    "segmentation.py",
    "accuracy.py",
    "scorer.py",
    "scorer_ablations.py",
    "microscope.py",
    "nulls.py",
    "review_simulated.py",
    "statistics_simulation.py",
)


def main() -> int:
    failed = []
    for name in ORDER:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        if subprocess.run([sys.executable, str(HERE / name)], check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        print("failed: " + ", ".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
