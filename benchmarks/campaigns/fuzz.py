"""Fuzzing of what is read from disk: every format of recordings, tables that users write, and the program's own files.

Sound files are changed at random (bytes, cuts, doubled pieces, words in the place of others) or by their structure (one
value of a document, an entry of a TIFF directory, a length or offset of a header), and read as the program reads them.
Only the errors that users are told in a sentence may escape. A case may take 30 s and 2 GiB beyond what the program has
loaded; what takes more counts as escaped. The cases are those of tests/fuzz.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import json
import platform
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from typing import Final

import psutil
from lib.prose import hand_written

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "tests" / "recording")]
from tests.fuzz.fuzz_readers import READERS  # noqa: E402
from tests.fuzz.fuzz_targets import TARGETS  # noqa: E402

EVERYTHING: Final = {**TARGETS, **READERS}
MOST_S: Final = 30
MOST_BYTES: Final = 2 << 30
RESULTS: Final = Path(__file__).parents[1] / "results" / "fuzz.md"


def limit_memory() -> None:
    """Allow 2 GiB of data beyond what is loaded."""
    loaded = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (loaded + MOST_BYTES, resource.RLIM_INFINITY))


def too_long(*_: object) -> None:
    """End a case that takes too long."""
    raise TimeoutError(f"took longer than {MOST_S} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(EVERYTHING), default=list(EVERYTHING))
    parser.add_argument("--seed", type=int, default=0, help="First seed; cases are seed, seed + 1, ...")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--store", type=Path, default=None, help="Rows of targets fuzzed before, to stand beside.")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    rows, bad = [], 0
    if args.store is not None and args.store.exists():
        rows = [tuple(r) for r in json.loads(args.store.read_text()) if r[0] not in args.only]
    for name in args.only:
        start, refused, escaped = time.perf_counter(), 0, Counter[str]()
        n = args.cases // len(args.only)
        with tempfile.TemporaryDirectory() as folder:
            target = EVERYTHING[name](Path(folder))
            limit_memory()
            for seed in range(args.seed, args.seed + n):
                signal.alarm(MOST_S)
                try:
                    refused += target.attempt(seed)
                except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    what = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
                    if what not in escaped:
                        print(f"{name}, seed {seed}: {what}: {str(error)[:200]}", flush=True)
                    escaped[what] += 1
                finally:
                    signal.alarm(0)
        bad += sum(escaped.values())
        rows.append(
            (name, n, refused, n - refused - sum(escaped.values()), sum(escaped.values()), time.perf_counter() - start)
        )
        print(rows[-1], flush=True)
    if args.store is not None:
        args.store.write_text(json.dumps(rows))
    lines = ["# Fuzzing", "", str(__doc__).strip(), ""]
    command = f"python benchmarks/campaigns/fuzz.py --cases {sum(r[1] for r in rows)} --seed {args.seed}"
    lines += [f"`{command}`, {time.strftime('%Y-%m-%d')}, {platform.platform()}", ""]
    lines += ["| what | cases | refused with a sentence | read | escaped | seconds |", "|---|---|---|---|---|---|"]
    lines += [f"| {n} | {c} | {r} | {o} | {e} | {s:.0f} |" for n, c, r, o, e, s in rows]
    args.out.write_text("\n".join([*lines, "", hand_written("fuzz")]))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
