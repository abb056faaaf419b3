"""layout.csv and plate maps as Excel, Numbers, LibreOffice, R and editors save them."""

import pytest

from cicimage.errors import ConfigurationError
from cicimage.experiment import load_experiment
from cicimage.experiment.plate_map import read_plate_map
from cicimage.experiment.spreadsheet import number_of, read_cells

PLAIN = "position,condition,donor,dose,dose_unit\nv/A1_f1,vehicle,D1,0,µM\nt/A2_f1,BTKi,Müller,2.5,µM\n"
SAVED = {
    "utf-8": PLAIN.encode(),
    "utf-8 with its mark": PLAIN.encode("utf-8-sig"),
    "utf-16 of Excel's Unicode text": PLAIN.replace(",", "\t").encode("utf-16"),
    "utf-16 without its mark": PLAIN.encode("utf-16-le"),
    "utf-16, other byte order": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "windows-1252": PLAIN.encode("cp1252"),
    "old Mac line ends": PLAIN.replace("\n", "\r").encode(),
    "Windows line ends": PLAIN.replace("\n", "\r\n").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace("2.5", "2,5").encode(),
    "tabs and decimal commas": PLAIN.replace(",", "\t").replace("2.5", "2,5").encode(),
    "commas and a quoted decimal comma": PLAIN.replace("2.5", '"2,5"').encode(),
    "sep=;": ("sep=;\r\n" + PLAIN.replace(",", ";")).encode(),
    "sep=; with a mark and trailing separators": b"\xef\xbb\xbf" + ("SEP=;;;;;\n" + PLAIN.replace(",", ";")).encode(),
    "blank rows at the end": (PLAIN + ",,,,\n,,,,\n\n").encode(),
    "blank rows first and between": ("\n,,,,\n" + PLAIN.replace("\nt/", "\n\n  ,,,,\nt/")).encode(),
    "blank columns at the end": PLAIN.replace("\n", ",,\n").encode(),
    "blanks around cells": PLAIN.replace(",", " ,  ").encode(),
    "non-breaking and zero-width blanks": PLAIN.replace("D1", "\u00a0D1\u200b").encode(),
    "capitals in the heading": PLAIN.replace("position,condition,donor,dose,dose_unit",
                                             "Position,CONDITION,Donor,Dose,Dose unit").encode(),
    "quoted cells": "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in PLAIN.split("\n")[:3]).encode(),
}  # fmt: skip


@pytest.fixture
def wells(tmp_path):
    for name in ("v/A1_f1.tif", "t/A2_f1.tif"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
def test_one_layout_saved_in_many_ways_reads_the_same(wells, saved):
    (wells / "layout.csv").write_bytes(saved)
    layout = load_experiment(wells).layout()
    assert layout["donor"].tolist() == ["D1", "Müller"]
    assert layout["condition"].tolist() == ["vehicle", "BTKi"]
    assert [float(d) for d in layout["dose"]] == [0, 2.5]
    assert layout["dose_unit"].tolist() == ["µM", "µM"]


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ("position;dose\nv/A1_f1;0\nt/A2_f1;<1\n", "dose of 't/A2_f1' must be a number, .* is '<1'"),
        ("position;dose\nv/A1_f1;0\nt/A2_f1;10 uM\n", "its unit in the column dose_unit, is '10 uM'"),
        ("position;dose\nv/A1_f1;0\nt/A2_f1;1,000\n", "is '1,000'; a separator before three digits may be a decimal"),
        ("position;dose\nv/A1_f1;0,5\nt/A2_f1;1.000\n", "dose of 't/A2_f1' must be a number"),
        ("position;dose\nv/A1_f1;0\nt/A2_f1;n/a\n", "or leave the cell empty"),
        ("position;seeded_cells\nv/A1_f1;many\nt/A2_f1;5\n", "must be a number of cells, is 'many'"),
        ("position;time_zero_h\nv/A1_f1;1 h\nt/A2_f1;5\n", "must be a number of hours, is '1 h'"),
        ("position,Donor,donor\nv/A1_f1,a,b\nt/A2_f1,a,b\n", "column 'donor' must stand once, stands 2 times"),
        ("position,donor\nv/A1_f1,D1,2,5\nt/A2_f1,D2\n", "row 'v/A1_f1' has a cell '2' in no column"),
        ("position,condition,dose\nv/A1_f1,x,1\nt/A2_f1,x,2\n", "condition 'x' must have one dose, has 1 and 2"),
        ("position,dose,dose_unit\nv/A1_f1,1,nM\nt/A2_f1,2,uM\n", "must have one dose_unit, have 'nM' and 'uM'"),
    ],
)
def test_a_cell_that_cannot_be_read_is_said_and_never_dropped(wells, layout, sentence):
    (wells / "layout.csv").write_text(layout, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=sentence):
        load_experiment(wells)


def test_decimal_commas_count_for_every_column_of_numbers(wells):
    layout = "position;dose;time_zero_h\nv/A1_f1;0,3;1,5\nt/A2_f1;1.000,5;-0,25\n"
    (wells / "layout.csv").write_text(layout, encoding="utf-8")
    found = load_experiment(wells).layout()
    assert [float(d) for d in found["dose"]] == [0.3, 1000.5]
    assert found["time_zero_h"].tolist() == [1.5, -0.25]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.5", 2.5), ("2,5", 2.5), (",5", 0.5), ("1e-3", 1e-3), ("-0,5", -0.5), ("\u22123", -3), ("0,125", 0.125),
        ("1,000.5", 1000.5), ("1.000,5", 1000.5), ("1,000,000", 1e6), ("12 500,5", 12500.5), ("1,0000", 1.0),
        ("1,000", None), ("12 500", None), ("1'000", None), ("<1", None), ("10 uM", None), ("nan", None),
        ("1e999", None), ("", None), ("2,5,1", None), ("--1", None), ("1.2.3", None),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, value):
    assert number_of(text) == value


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("position,donor\nа,Иванов\n".encode("cp1251"), "must be UTF-8 text, byte 15 is not, and other encodings"),
        ("position,donor\na,Müller\n".encode("mac-roman"), "other encodings read it differently; save it as CSV UTF-8"),
        ("position,donor\na,田中\n".encode("shift-jis"), "other encodings"),
        (b"\xff\xfea", "its UTF-16 is damaged"),
        (b"position,donor\na,\0\n", "NUL character in line 2"),
    ],
)
def test_an_encoding_that_the_bytes_leave_open_is_refused(tmp_path, raw, sentence):
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(ConfigurationError, match=sentence):
        read_cells(tmp_path / "t.csv")


def test_a_plate_map_is_read_like_a_layout_and_names_a_well_once(tmp_path):
    path = tmp_path / "map.csv"
    path.write_bytes("sep=\t\n\t1\t2\t\nA\tvehicle\tBTKi\t\n\t\t\t\n".encode("utf-16"))
    assert read_plate_map(path) == {"A01": "vehicle", "A02": "BTKi"}
    path.write_text(",1,2\nA,vehicle,BTKi\nB,vehicle,BTKi\nA,BTKi,vehicle\n")  # two plates, one below the other
    with pytest.raises(ConfigurationError, match="well A01 must stand once, has 'vehicle' and 'BTKi'; keep one grid"):
        read_plate_map(path)
