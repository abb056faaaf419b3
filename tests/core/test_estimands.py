"""The registry of estimands: what every entry must have."""

from dataclasses import replace

import pytest

from cicimage.errors import CicimageError
from cicimage.estimands import BY_NAME, ENTRY_RATE, ESTIMANDS, check_estimands, estimand_of, names_of


def test_names_are_unique_and_each_has_words():
    assert len(BY_NAME) == len(ESTIMANDS)
    for estimand in ESTIMANDS:
        assert all((estimand.counted, estimand.title, estimand.shown_unit, estimand.meaning))
        assert estimand.unit in {"1", "1/h"}


def test_an_entry_that_would_be_drawn_blank_or_stand_for_another_is_refused():
    entry = BY_NAME[ENTRY_RATE]
    with pytest.raises(CicimageError, match="must have a label, it is shown by .*panel.*; add it"):
        check_estimands((replace(entry, label=""),))
    with pytest.raises(CicimageError, match="per must differ from the others', is 'guest-hour' again; change it"):
        check_estimands((entry, replace(entry, name="x")))


def test_an_estimand_of_another_program_keeps_its_name():
    assert estimand_of("t_cell_contacts_per_host_h", "1/h").title == "T cell contacts per host h"
    assert ENTRY_RATE in names_of("summary")
