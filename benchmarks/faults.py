"""Fault campaign: processes killed at random moments, bad input, a full disk.

Every killed run is started again until it ends; its tables, base and top level, must then have the bytes of an
undisturbed run, no half-written file may be left, and the corrections of a reviewer must have come through.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import fault_kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--per-run", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    campaign = fault_kills.local(args.work, args.kills, args.per_run, args.seed)
    print(campaign)
    return bool(campaign.faults)


if __name__ == "__main__":
    sys.exit(main())
