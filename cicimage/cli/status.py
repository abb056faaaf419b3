"""`cicimage status`: positions done, failed, waiting."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cicimage.cli.echo import echo
from cicimage.receipts import read_receipt
from cicimage.store import existing_results


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(out: Path, as_json: bool) -> None:
    """Say how far the run in folder OUT is.

    \f

    Parameters
    ----------
    out : Path
        Results folder.
    as_json : bool
        Print JSON: ``counts`` by state, and ``positions`` with state, error, seconds, peak memory in bytes and folder.

    Raises
    ------
    ResultsError
        OUT is no results folder.
    """  # noqa: D301 - the form feed ends the text of --help
    results = existing_results(out)
    states = {}
    for position, key in results.index().items():
        path = results.position(key).receipt
        receipt = read_receipt(path) if path.exists() else {"outcome": "waiting"}
        states[position] = {
            "state": receipt["outcome"], "error": receipt.get("error", ""), "seconds": receipt.get("seconds"),
            "peak_memory_bytes": receipt.get("peak_memory_bytes"), "folder": str(results.position(key).root),
        }  # fmt: skip
    counts = {s: sum(v["state"] == s for v in states.values()) for s in ("done", "failed", "waiting")}
    if as_json:
        echo(json.dumps({"counts": counts, "positions": states}, indent=1, ensure_ascii=False))
        return
    echo(f"{counts['done']} done, {counts['failed']} failed, {counts['waiting']} waiting")
    for position, entry in states.items():
        if entry["state"] != "done":
            reason = f": {entry['error']}" if entry["error"] else ""
            echo(f"  {position}: {entry['state']}{reason}")
