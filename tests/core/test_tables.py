"""Tables conform to their declaration, or say what does not."""

import pandas as pd
import pytest

from cicimage.errors import CicimageError
from cicimage.tables import DRIFT, FRAMES, TABLES, conform, empty


def drift_rows(**changes):
    return pd.DataFrame({"position": ["a"], "frame": [0], "dy_um": [0.0], "dx_um": [0.0]} | changes)


def test_every_table_has_an_empty_form_that_conforms():
    for table in TABLES.values():
        assert list(conform(table, empty(table)).columns) == [c.name for c in table.columns]


def test_nullable_columns_are_filled_and_foreign_ones_kept():
    out = conform(DRIFT, drift_rows(note=["x"]))
    assert list(out.columns) == ["position", "frame", "dy_um", "dx_um", "quality", "note"]
    assert out["quality"].isna().all()


def test_missing_column_names_it_and_what_it_holds():
    with pytest.raises(
        CicimageError, match="table drift: column 'dx_um' is missing; it must hold the same to the right"
    ):
        conform(DRIFT, drift_rows().drop(columns="dx_um"))


def test_missing_value_in_a_required_column_is_refused():
    with pytest.raises(CicimageError, match="column 'dy_um' has missing values"):
        conform(DRIFT, drift_rows(dy_um=[float("nan")]))
    with pytest.raises(CicimageError, match="column 'frame' has missing values"):
        conform(DRIFT, drift_rows(frame=[None]))


def test_a_foreign_state_is_refused():
    rows = empty(FRAMES).reindex(range(1)).assign(
        position="a", frame=0, time_h=0.0, guest_id=1, label=1, observed=True, y_um=0.0, x_um=0.0,
        location="within", contact="none", viability="alive", host_id=0, p_inside=0.0,
    )  # fmt: skip
    with pytest.raises(CicimageError, match="'location' holds 'within'; allowed are free, attached"):
        conform(FRAMES, rows)


def test_a_key_may_occur_once():
    twice = pd.concat([drift_rows(), drift_rows()])
    with pytest.raises(CicimageError, match="occurs twice"):
        conform(DRIFT, twice)
