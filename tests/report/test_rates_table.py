"""The table of one estimand on the page."""

import numpy as np
import pandas as pd

from cicimage.report.views import rates_views
from cicimage.tables import RATES, conform


def _view(**more):
    row = {
        "estimand": "inside_occupancy_end", "condition": "vehicle", "estimate": 0.3, "ci_low": 0.1, "ci_high": 0.6,
        "bound_low": 0.3, "bound_high": 0.3, "unit": "1", "events": 7.0, "events_p": 7.0, "exposure_h": np.nan,
        "n_guests": 20, "n_hosts": 0, "n_positions": 3, "n_replicates": 3, "n_donors": 3, "method": "m", "note": "",
    }  # fmt: skip
    rates = conform(RATES, pd.DataFrame([row | more]))
    return rates_views({"rates": rates}, ["inside_occupancy_end"])[0]


def test_the_share_of_all_cells_stands_beside_the_mean_over_donors_under_a_name_of_its_own():
    view = _view(pooled_estimate=0.35)
    shown = dict(zip(view.columns, view.rows[0], strict=True))
    assert (shown["Estimate"], shown["Donors pooled"]) == ("30", "35")
    assert "Donors pooled" not in _view().columns, "results made before the column was there"
