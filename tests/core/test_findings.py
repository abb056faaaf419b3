"""Findings: one type for what is wrong with an input."""

import json

import pytest

from cicimage.errors import CicimageError
from cicimage.findings import Finding, findings_of

SATURATED = Finding(
    "channel_saturated", "warning", "channel 'Host'", "63 % of pixels are saturated, at most 5 % may be",
    "lower exposure or gain",
)  # fmt: skip


def test_a_finding_survives_json():
    assert findings_of(json.loads(json.dumps([SATURATED.as_dict()]))) == (SATURATED,)


def test_receipts_of_older_programs_hold_no_findings():
    assert findings_of(None) == ()


def test_the_sentence_names_place_value_and_remedy():
    assert SATURATED.sentence.startswith("channel 'Host': 63 %")
    assert Finding("x", "note", "", "a", "b").sentence == "a; b"


def test_an_unknown_severity_is_refused():
    with pytest.raises(CicimageError, match="severity must be one of unresolved, warning, note, is 'fatal'"):
        Finding("x", "fatal", "", "", "")
