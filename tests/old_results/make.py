"""How ``v0.1.0.zip`` was made: two donors, two conditions, two reviewers and an adjudication.

The archive was made once with the program of that version and stays as it is; the script follows the names of
today's program, so that a later version can add an archive of its own. A results folder that users have must open,
report, export, resume and be reviewed by every later program.

    python tests/old_results/make.py FOLDER
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1] / "review"))
from random_edits import random_edit

from cicimage.review.agreement import adjudicate
from cicimage.review.desk import Desk
from cicimage.review.edits import AnyEdit
from cicimage.review.keys import ReviewError
from cicimage.review.response import death_at, verdict_on
from cicimage.review.session import Session
from cicimage.store import Results

KINDS = {part.model_fields["kind"].default for part in get_args(get_args(AnyEdit)[0])}
LAYOUT = """position,condition,replicate,donor,experiment,btki
vehicle/w1_f1,vehicle,w1,D1,E1,0
vehicle/w2_f1,vehicle,w2,D2,E1,0
BTKi/w1_f1,BTKi,w1,D1,E1,1
BTKi/w2_f1,BTKi,w2,D2,E1,1
"""


def cicimage(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "cicimage", *map(str, words)], check=True)


def record(root: Path) -> None:
    for well, seed in (("w1", 3), ("w2", 8)):
        made = root / well
        cicimage("simulate", "sample-2d", "-o", made, "--seed", str(seed), "--scale", "0.5", "--frames", "10")
        for condition in ("vehicle", "BTKi"):
            (root / "recordings" / condition).mkdir(parents=True, exist_ok=True)
            shutil.move(made / condition / "w1_f1.ome.tif", root / "recordings" / condition / f"{well}_f1.ome.tif")
        shutil.copy(made / "experiment.toml", root / "recordings")
        shutil.rmtree(made)
        shutil.rmtree(root / f"{well}_truth")
    (root / "recordings" / "layout.csv").write_text(LAYOUT)


def review_by_keys(results: Results, reviewer: str) -> None:
    """Verdicts, times and states as the keys of the viewer give them; undo and redo."""
    desk = Desk.open(results, reviewer)
    rng = random.Random(reviewer)  # noqa: S311
    for n in range(len(desk.queue)):
        item = desk.current.id
        if n == 1:
            desk.enter_here()
            desk.note("membrane closes here")
        if n == 2:
            desk.locate("inside")
            desk.undo()
            desk.redo()
        if n == 3:
            desk.live("dead")
            desk.undo()
        if n == 4:
            desk.die_here()
        if n == 5:
            desk.do(death_at(desk.corrected, desk.current, desk.span, None))
        if n == 6:
            desk.end_here()
        desk.judge(rng.choice(["accept", "accept", "accept", "reject", "unsure"]))
        if desk.current.id == item:
            break
    desk.session.finish()
    desk.close()


def one_edit_of_every_kind(results: Results, reviewer: str) -> None:
    """Random edits until each kind was done once, then some are undone; the log ends unblinded."""
    with Session.open(results, reviewer) as session:
        wanted = KINDS - {"exclude_position"}
        for seed in range(20000):
            if not wanted:
                break
            try:
                edit = random_edit(session.position("p0001" if seed % 2 else "p0003").draft, seed)
                if edit.kind not in wanted:
                    continue
                session.do(edit)
            except (ReviewError, ValueError):
                continue
            wanted.discard(edit.kind)
        assert not wanted, wanted
        for _ in range(3):
            session.undo()
        session.redo()
        session.unblind()


def settle(results: Results) -> None:
    session, disputed = adjudicate(results, "anna", "ben")
    with session:
        for n, item in enumerate(disputed):
            session.do(verdict_on(session.position(item.candidate.position), item, "accept" if n % 2 else "reject"))


def main(root: Path) -> None:
    record(root)
    out = root / "results"
    cicimage("run", root / "recordings", "-o", out)
    results = Results(out)
    for reviewer in ("anna", "ben"):
        review_by_keys(results, reviewer)
    settle(results)
    one_edit_of_every_kind(results, "clara")
    for whose in ("none", "anna", "ben", "adjudicated", "clara"):
        cicimage("report", out, "--corrections", whose)
        (root / "expected" / whose).mkdir(parents=True)
        for name in ("events", "guests", "hosts", "frames", "cells", "rates", "comparisons"):
            shutil.copy(out / f"{name}.parquet", root / "expected" / whose)
    (root / "root.json").write_text(json.dumps({"root": str(root)}))
    (out / "report.html").unlink()
    with zipfile.ZipFile(Path(__file__).with_name("v0.1.0.zip"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(root))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
