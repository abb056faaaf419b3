"""Make scikit_survival.json once: python scikit_survival.py > scikit_survival.json (needs scikit-survival)."""

import json
import sys

import numpy as np
import sksurv
from sksurv.nonparametric import cumulative_incidence_competing_risks

rng = np.random.default_rng(7)
when = rng.exponential([8.0, 15.0, 12.0], (80, 3))
time = np.ceil(when.min(axis=1) * 2) / 2
cause = np.array([1, 2, 0])[when.argmin(axis=1)]
at, incidence = cumulative_incidence_competing_risks(cause, time)
json.dump(
    {
        "scikit-survival": sksurv.__version__, "time": time.tolist(), "cause": cause.tolist(), "at": at.tolist(),
        "incidence_1": incidence[1].tolist(), "incidence_2": incidence[2].tolist(),
    },
    sys.stdout,
)  # fmt: skip
