"""What a reviewed random sample says of the program's error."""

from types import SimpleNamespace

import pandas as pd

from cicimage.review.candidates import Candidate
from cicimage.review.queue import Item
from cicimage.review.sample import sample_of


def _item(name, guest, first, last, drawn="random", call="event"):
    place = Candidate("p1", guest, 9, first, last, call, 0.1, True, 2.0, first, 0.0, 0.0)
    return Item(name, place, drawn, first, "", (first,))


def _events(*entries):
    rows = [
        {"guest_id": g, "entry_frame": float(f), "p": 0.9, "excluded_reason": "", "brief": False, "prevalent": False}
        for g, f in entries
    ]
    columns = ["guest_id", "entry_frame", "p", "excluded_reason", "brief", "prevalent"]
    return pd.DataFrame(rows, columns=columns)


def test_calls_and_stretches_between_them_are_told_apart():
    found, mended = _events((1, 5), (2, 7)), _events((1, 5), (3, 4))
    corrected = {"p1": SimpleNamespace(tables=lambda: {"events": mended}, base=SimpleNamespace(events=found))}
    queue = [
        _item("right", 1, 4, 9), _item("false", 2, 6, 9), _item("missed", 3, 2, 8, call="under"),
        _item("nothing", 4, 0, 9, call="free"), _item("doubtful", 1, 4, 9, drawn="doubtful"), _item("open", 5, 0, 9),
        _item("unsure", 6, 0, 9),
    ]  # fmt: skip
    judged = {"right": "accept", "false": "reject", "missed": "reject", "nothing": "accept", "doubtful": "accept",
              "unsure": "unsure"}  # fmt: skip
    rows = sample_of(queue, judged, corrected, {"p1": "vehicle"})
    assert rows.to_records(index=False).tolist() == [
        ("vehicle", "event", True, 2.0),
        ("vehicle", "event", False, 2.0),
        ("vehicle", "other", True, 2.0),
        ("vehicle", "other", False, 2.0),
    ]


def test_nothing_settled_is_an_empty_sample():
    assert sample_of([_item("a", 1, 0, 5)], {}, {}, {"p1": "vehicle"}).empty
