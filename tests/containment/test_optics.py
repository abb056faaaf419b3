"""Axial slices as tabulated for common lenses, and what the program says can be told with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cicimage.containment.optics import axial_fwhm_of, confocal_fwhm_um, judge_optics
from cicimage.methods import Optics

# axial optical slice at one Airy unit, um, as computed for these lenses
TABLE = [("10x/0.3", 0.3, 1.0, 14.0), ("20x/0.45", 0.45, 1.0, 6.0), ("20x/0.8", 0.8, 1.0, 1.8),
         ("40x/0.95", 0.95, 1.0, 1.2), ("63x/1.4", 1.4, 1.515, 0.85)]  # fmt: skip


@pytest.mark.parametrize(("lens", "na", "index", "slice_um"), TABLE)
def test_axial_slice(lens: str, na: float, index: float, slice_um: float) -> None:
    assert confocal_fwhm_um(na, index) == pytest.approx(slice_um, rel=0.06), lens


def test_a_dry_lens_into_medium_is_wider_in_practice() -> None:
    fwhm = axial_fwhm_of(Optics(0.3, 1.0, na=0.95, immersion="air", modality="confocal"))
    assert fwhm is not None
    assert 1.5 <= fwhm <= 2.0


@pytest.mark.parametrize(
    ("optics", "tells"),
    [
        (Optics(0.3, 1.0, na=0.95, immersion="air", modality="confocal"), True),
        (Optics(0.3, 1.0, na=1.4, immersion="oil", modality="confocal"), True),
        (Optics(0.5, 2.0, na=0.8, immersion="air", modality="confocal"), True),
        (Optics(0.5, 2.0, na=0.45, immersion="air", modality="confocal"), False),
        (Optics(0.3, 4.0, na=0.95, immersion="air", modality="confocal"), False),
        (Optics(0.5, 1.0, na=0.45, immersion="air", modality="widefield"), False),
        (Optics(0.5), False),
    ],
)
def test_what_can_be_told(optics: Optics, tells: bool) -> None:
    verdict = judge_optics(optics)
    assert set(verdict.separable) == {"inside", "under", "on_top"}
    assert all(v == tells for v in verdict.separable.values())
    assert verdict.sentences
    assert all(s.endswith(".") for s in verdict.sentences)


def test_a_shallow_stack_is_said() -> None:
    verdict = judge_optics(Optics(0.3, 1.0, na=0.95, immersion="air", modality="confocal"), n_slices=5)
    assert not verdict.separable["inside"]
    assert any("covers 4.0 um" in s for s in verdict.sentences)


def test_unknown_na_is_measured_or_assumed_and_said() -> None:
    assert judge_optics(Optics(0.3, 1.0)).source == "assumed"
    measured = judge_optics(Optics(0.3, 1.0), axial_fwhm_um=1.7)
    assert measured.source == "measured"
    assert measured.axial_fwhm_um == 1.7
    assert any("measured" in s for s in measured.sentences)
    assert judge_optics(Optics(0.3, 1.0), axial_fwhm_um=np.nan).source == "assumed"


def test_guests_that_show_more_blur_than_na_allows_are_believed() -> None:
    optics = Optics(0.3, 1.0, na=0.95, immersion="air", modality="confocal")
    aberrated = judge_optics(optics, axial_fwhm_um=2.7)
    assert (aberrated.source, aberrated.axial_fwhm_um) == ("measured", 2.7)
    assert any("would allow 1.6 um" in s for s in aberrated.sentences)
    assert judge_optics(optics, axial_fwhm_um=1.3).source == "na", "no lens is better than its NA"


def test_thin_floor_needs_more_signal_when_blurred() -> None:
    sharp, blurred = (judge_optics(Optics(0.3, 1.0), axial_fwhm_um=f).min_host_signal for f in (1.0, 2.5))
    assert sharp is not None
    assert blurred is not None
    assert blurred > sharp


def test_a_host_without_signal_and_a_cut_substrate_are_said() -> None:
    optics = Optics(0.3, 1.0, na=0.95, immersion="air", modality="confocal")
    dark = pd.DataFrame({"host_signal": [np.nan], "footprint_share": [1.0]})
    assert any("No host signal" in s for s in judge_optics(optics, dark).sentences)
    cut = pd.DataFrame({"host_signal": [50.0], "footprint_share": [1.0], "guest_bottom_um": [-2.0]})
    assert any("starts above the floor" in s for s in judge_optics(optics, cut).sentences)


def test_verdict_is_plain_data() -> None:
    kept = judge_optics(Optics(0.3, 1.0)).as_dict()
    assert kept["separable"]["inside"] is True
    assert isinstance(kept["sentences"], list)
