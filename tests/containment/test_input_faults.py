"""Each input from which nothing can be told is said in one sentence; good input says nothing."""

import pandas as pd
import pytest

from cicimage.containment.input_faults import InputQuality, input_faults
from cicimage.findings import Finding
from cicimage.methods import Optics

STACK = Optics(0.65, 1.0, na=0.95, immersion="air", modality="confocal")

HIGH_SLICE = Optics(0.65, modality="spinning_disk", plane_um=5.0)


def cells(width_um: float, n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"area_um2": [3.14159 / 4 * width_um**2] * n, "observed": True})


def pairs(signal: float = 30.0, bottom_um: float = 0.5, n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"footprint_share": 1.0, "host_signal": [signal] * n, "guest_bottom_um": bottom_um})


def said(guests=None, hosts=None, evidence=None, optics=STACK, **more) -> tuple[Finding, ...]:
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
    ("code", "sentence", "found"),
    [
        ("no_host", "no host stands out of the background", said(hosts=cells(60.0, 0))),
        ("host_dim", "hosts are 0.4 noise SD above the background", said(evidence=pairs(signal=0.4))),
        ("stack_cut_off", "starts above the lower end of 100 % of the guests", said(evidence=pairs(bottom_um=-1.5))),
        ("stack_shallow", "3 slices of 1.0 um cover 2.0 um, less than a guest of 7.5 um", said(n_slices=3)),
        (
            "focus_step_coarse", "a focus step of 4.0 um skips cap and floor",
            said(optics=Optics(0.65, 4.0, na=0.8), n_slices=5),
        ),
        (
            "slice_height_unknown", "its height is not known; set optics.plane_um",
            said(optics=Optics(0.65, modality="confocal"), n_slices=1),
        ),
        ("slice_height", "this one lies 5 um above it; take a lower slice", said(optics=HIGH_SLICE, n_slices=1)),
        ("roles_swapped", "hosts are 8 um wide and guests 60 um", said(guests=cells(60.0), hosts=cells(8.0))),
    ],
)  # fmt: skip
def test_each_fault_is_one_finding(code, sentence, found):
    assert [f.code for f in found] == [code]
    assert sentence in found[0].sentence
    assert found[0].severity == "unresolved"


def test_faults_of_the_pixels_stand_in_the_way_only_where_nothing_can_be_told():
    lag = Finding("channel_lag", "unresolved", "channel 'Guest'", "is 1 frame late", "export anew", "channels.guest")
    flicker = Finding("flicker", "warning", "channel 'Host'", "brightness differs by 30 %", "check the lamp")
    assert said(quality=InputQuality(findings=(lag, flicker))) == (lag,)


def test_a_few_objects_prove_nothing():
    assert said(guests=cells(60.0, 5), hosts=cells(8.0, 5)) == ()
    assert said(evidence=pairs(signal=0.1, n=5)) == ()
