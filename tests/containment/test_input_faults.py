"""Each input from which nothing can be told is said in one sentence; good input says nothing."""

import pandas as pd
import pytest

from cicimage.containment.input_faults import input_faults
from cicimage.methods import Optics

STACK = Optics(0.65, 1.0, na=0.95, immersion="air", modality="confocal")

HIGH_SLICE = Optics(0.65, modality="spinning_disk", plane_um=5.0)


def cells(width_um: float, n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"area_um2": [3.14159 / 4 * width_um**2] * n, "observed": True})


def pairs(signal: float = 30.0, bottom_um: float = 0.5, n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"footprint_share": 1.0, "host_signal": [signal] * n, "guest_bottom_um": bottom_um})


def said(guests=None, hosts=None, evidence=None, optics=STACK, **more) -> tuple[str, ...]:
    more.setdefault("n_slices", 12)
    return input_faults(
        cells(7.5) if guests is None else guests, cells(60.0) if hosts is None else hosts,
        pairs() if evidence is None else evidence, optics, **more,
    )  # fmt: skip


def test_good_input_says_nothing():
    assert said() == ()
    assert said(optics=Optics(0.65), n_slices=1) == (), "2D is no fault"
    assert said(optics=Optics(0.65, modality="confocal", plane_um=2.0), n_slices=1) == (), "nor is a low thin section"
    assert said(guests=cells(7.5, 0), hosts=cells(60.0, 0)) == (), "an empty field is no fault"
    assert said(hosts=cells(15.0), guests=cells(15.0), same_population=True) == ()


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("No host stands out of the background", said(hosts=cells(60.0, 0))),
        ("Hosts are 0.4 noise SD above the background", said(evidence=pairs(signal=0.4))),
        ("30 % of the host channel's pixels are saturated, at most 5 %", said(saturated_share=0.3)),
        ("starts above the lower end of 100 % of the guests", said(evidence=pairs(bottom_um=-1.5))),
        ("3 slices of 1.0 um cover 2.0 um, less than a guest of 7.5 um", said(n_slices=3)),
        ("A focus step of 4.0 um skips cap and floor", said(optics=Optics(0.65, 4.0, na=0.8), n_slices=5)),
        ("its height is not known: set optics.plane_um", said(optics=Optics(0.65, modality="confocal"), n_slices=1)),
        ("this one lies 5 um above it: take a lower slice", said(optics=HIGH_SLICE, n_slices=1)),
        ("Hosts are 8 um wide and guests 60 um", said(guests=cells(60.0), hosts=cells(8.0))),
    ],
)
def test_each_fault_is_one_sentence(sentence, found):
    assert len(found) == 1
    assert sentence in found[0]
    assert found[0].endswith((".", "?"))


def test_a_few_objects_prove_nothing():
    assert said(guests=cells(60.0, 5), hosts=cells(8.0, 5)) == ()
    assert said(evidence=pairs(signal=0.1, n=5)) == ()
