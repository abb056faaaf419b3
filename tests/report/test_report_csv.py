"""CSV that a spreadsheet does not run, and the way back."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.errors import CicimageError
from cicimage.report.csv_export import csv_text, guard, read_csv, unguard, write_csv
from cicimage.tables import RATES, conform

DANGEROUS = ("=1+1", "+AMD3100", "-5 nM", "@SUM(A1)", "\tx", "＝1", "'=1", "''+1")
AFTER_A_SEPARATOR = ("x;=1+1", ";@SUM(A1)", "a;'=1", "x\t=1", "x;;-1")
HARMLESS = ("vehicle", "'quoted'", "1E5", "NO", "a=b", "", 'x, "y"; z', "対照", "it's")


@pytest.mark.parametrize("text", DANGEROUS)
def test_dangerous_cells_are_written_with_an_apostrophe(text):
    cell = next(csv.reader(io.StringIO(csv_text(pd.DataFrame({"condition": [text]})).split("\r\n", 1)[1])))[0]
    assert cell == "'" + text
    assert unguard(cell) == text


@pytest.mark.parametrize("text", AFTER_A_SEPARATOR)
def test_no_part_of_a_cell_is_run_where_semicolons_or_tabs_part_cells(text):
    written = guard(text)
    assert not any(part.startswith(tuple("=+-@")) for part in written.replace("\t", ";").split(";"))
    assert unguard(written) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_cells_are_written_as_they_are(text):
    assert guard(text) == text
    assert unguard(text) == text


def test_numbers_are_untouched_at_full_precision():
    rows = pd.DataFrame({"ratio": [-0.1, 1 / 3, float("nan")], "n": [-1, 2, 3], "ok": [True, False, True]})
    assert csv_text(rows).split("\r\n")[1:4] == ["-0.1,-1,True", "0.3333333333333333,2,False", ",3,True"]


def test_column_names_are_guarded_too():
    assert csv_text(pd.DataFrame({"=cmd|'/c calc'!A1": ["x"]})).startswith("'=cmd")


def test_mixed_columns_keep_their_numbers():
    lines = csv_text(pd.DataFrame({"factor": pd.Series([-1.5, "-x", None], dtype=object)})).split("\r\n")
    assert lines[1:3] == ["-1.5", "'-x"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\x00"), max_size=12), max_size=6
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    rows = pd.DataFrame({"condition": names, "k": [str(i) for i in range(len(names))]})
    write_csv(rows, path)
    assert read_csv(path)["condition"].tolist() == names


def test_a_table_comes_back_with_its_types(tmp_path):
    row = {
        "estimand": "entry_rate_per_guest_h",
        "condition": "+AMD3100",
        "estimate": 0.012,
        "unit": "1/h",
        "n_guests": 5,
        "n_hosts": 2,
        "n_positions": 1,
        "n_replicates": 1,
        "n_donors": 0,
        "method": "-",
        "note": "",
    }
    rates = conform(RATES, pd.DataFrame([row, {**row, "condition": "1E5", "estimate": None}]))
    write_csv(rates, tmp_path / "rates.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "rates.csv", RATES), rates)


def test_a_word_where_a_number_must_be_is_named(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("estimand,condition,estimate\na,b,lots\n", encoding="utf-8")
    with pytest.raises(CicimageError, match="column 'estimate' must hold .* row 2 has 'lots'; mend"):
        read_csv(path, RATES)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00a"])
def test_what_is_no_csv_is_said(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(CicimageError, match="must be CSV in UTF-8"):
        read_csv(path)
