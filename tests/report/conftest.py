import sys
from pathlib import Path

import pytest

# The made-up experiment serves the figures' tests too and lies beside them, the drawn ones those of the statistics.
for _room in ("figures", "statistics"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))


@pytest.fixture(scope="session")
def data():
    """Report data of a small made-up experiment."""
    from made_up_experiment import Plan
    from made_up_report import make_report_data

    return make_report_data(Plan(wells_per_donor=1, guests_per_well=20))


@pytest.fixture(scope="session")
def page(data):
    """Its page, made once for all tests."""
    from cicimage.report import render_report

    return render_report(data)["report"]
