"""XZ pictures, and what must be measured in them."""

from __future__ import annotations

import drawn_volumes as drawn
import numpy as np
import pandas as pd
import pytest
from drawn_volumes import BACKGROUND, NOISE_SD, OPTICS, volume
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.containment.evidence import COLUMNS, measure_frame
from cicimage.containment.noise import Noise
from cicimage.masks import Mask, Masks
from cicimage.methods import Objects, Optics

NOISE = Noise(NOISE_SD, BACKGROUND)


def measure(picture: str, *, axial_fwhm_um: float = 1.5, **kwargs: float) -> pd.DataFrame:
    image, guests, hosts = volume(picture, axial_fwhm_um=axial_fwhm_um, **kwargs)  # type: ignore[arg-type]
    return measure_frame(image, guests, hosts, optics=OPTICS, noise=NOISE, axial_fwhm_um=axial_fwhm_um)


# cap and floor in um of host; walls as share of full signal beside the lower half
CASES = {
    #            cap          floor        lower wall
    "INSIDE": ((0.5, 2.0), (0.5, 2.0), (0.7, 1.1)),
    "UNDER": ((0.5, 2.0), (-0.3, 0.2), (-0.1, 0.35)),
    "ON_TOP": ((-0.2, 0.15), (1.2, 3.0), (-0.1, 0.35)),
    "BETWEEN": ((0.5, 2.0), (1.2, 3.0), (-0.1, 0.45)),
    "ENTERING": ((-0.2, 0.15), (0.5, 2.0), (0.5, 1.1)),
    "VACUOLE": ((0.3, 2.5), (0.5, 3.0), (0.5, 1.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_drawn_volume(name: str) -> None:
    rows = measure(getattr(drawn, name))
    row = rows.iloc[0]
    for column, (low, high) in zip(("cap_um", "floor_um", "wall_lower"), CASES[name], strict=True):
        assert low <= row[column] <= high, f"{name}: {column} = {row[column]:.2f}"


def test_guest_beside_a_host_is_measured_but_has_neither_cap_nor_floor() -> None:
    row = measure(drawn.ASIDE).iloc[0] if len(measure(drawn.ASIDE)) else None
    assert row is None or (row["footprint_share"] == 0 and not np.isfinite(row["cap_um"]))


def test_hosts_that_share_the_guest_are_told_apart_by_what_is_theirs_alone() -> None:
    rows = measure(drawn.BETWEEN)
    assert rows["host_label"].tolist() == [1, 2]
    assert (rows["shared_share"] > 0.9).all()
    assert (rows["others_um"] > 0.3).all()


@pytest.mark.parametrize("name", ["INSIDE", "UNDER", "ON_TOP"])
def test_errors_grow_with_blur_until_nothing_is_told(name: str) -> None:
    blurs = [1.5, 4.0, 8.0, 14.0]
    rows = [measure(getattr(drawn, name), axial_fwhm_um=b).iloc[0] for b in blurs]
    errors = [r["floor_um_se"] for r in rows]
    assert errors[1:] == sorted(errors[1:])
    assert errors[-1] > 5 * errors[0]
    wide = rows[-1]
    assert wide["floor_um_se"] > 0.3, "a slice of 14 um tells no floor of a micrometre"


def test_errors_are_the_scatter_of_repeats() -> None:
    rows = [measure(drawn.INSIDE, seed=s, host_level=60.0).iloc[0] for s in range(12)]
    for name in ("cap", "floor"):
        scatter = np.std([r[f"{name}_um"] for r in rows], ddof=1)
        claimed = np.median([r[f"{name}_um_se"] for r in rows])
        assert scatter < 2.5 * claimed, "photon noise is within the claimed error, which holds the model's too"


def test_a_host_without_signal_gives_no_evidence() -> None:
    rows = measure(drawn.INSIDE, host_level=0.0)
    assert rows["cap_um"].isna().all()
    assert np.isinf(rows["cap_um_se"]).all()


def test_a_stack_that_ends_below_the_cap_does_not_deny_it() -> None:
    image, guests, hosts = volume(drawn.INSIDE)
    row = measure_frame(image[:6], guests, hosts, optics=OPTICS, noise=NOISE, axial_fwhm_um=1.5).iloc[0]
    assert row["cap_um_se"] > 1.0
    assert row["floor_um_se"] < 0.3


def _plane(picture: str) -> tuple[np.ndarray, Objects, Objects]:
    image, guests, hosts = volume(picture, axial_fwhm_um=6.0)
    flat = image[3:4]
    return flat, Objects(guests.masks, np.full(1, np.nan), np.full(1, np.nan)), hosts


def test_a_plane_tells_void_and_ring_but_no_heights() -> None:
    image, guests, hosts = _plane(drawn.INSIDE)
    row = measure_frame(image, guests, hosts, optics=Optics(0.5), noise=NOISE).iloc[0]
    assert row["void"] > 0.2
    assert row["ring_coverage"] > 0.9
    assert np.isnan(row["cap_um"])
    assert np.isnan(row["z_in_host"])


def test_nothing_near_gives_an_empty_table_with_all_columns() -> None:
    none = Objects(Masks([], (40, 40)), np.zeros(0), np.zeros(0))
    rows = measure_frame(np.zeros((3, 40, 40), np.float32), none, none, optics=OPTICS, noise=Noise(1.0, 0.0))
    assert list(rows.columns) == list(COLUMNS)
    assert len(rows) == 0


def test_a_cell_is_not_its_own_host() -> None:
    image, guests, hosts = volume(drawn.INSIDE)
    both = Objects(
        Masks([guests.masks[0], Mask(2, hosts.masks[0].y0, hosts.masks[0].x0, hosts.masks[0].pixels)], (57, 57)),
        np.array([guests.z_um[0], np.nan]), np.full(2, np.nan),
    )  # fmt: skip
    rows = measure_frame(image, both, both, optics=OPTICS, noise=NOISE, shared_stain="cytosol")
    assert (rows["guest_label"] != rows["host_label"]).all()


EVIDENCE = ["cap_um", "floor_um", "wall_lower", "wall_upper", "void", "ring_coverage", "footprint_share"]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 20), st.integers(0, 20), st.sampled_from(["INSIDE", "UNDER", "ON_TOP"]))
def test_moving_the_scene_moves_no_evidence(dy: int, dx: int, name: str) -> None:
    image, guests, hosts = volume(getattr(drawn, name), seed=3)
    n = image.shape[1] + 20
    wide = np.full((image.shape[0], n, n), BACKGROUND, np.float32)
    wide[:, dy : dy + image.shape[1], dx : dx + image.shape[2]] = image

    def moved(objects: Objects) -> Objects:
        masks = [Mask(m.label, m.y0 + dy, m.x0 + dx, m.pixels) for m in objects.masks]
        return Objects(Masks(masks, (n, n)), objects.z_um, objects.z_extent_um)

    kwargs = {"optics": OPTICS, "noise": Noise(NOISE_SD, BACKGROUND, 1.0), "axial_fwhm_um": 1.5}
    here = measure_frame(image, guests, hosts, **kwargs)  # type: ignore[arg-type]
    there = measure_frame(wide, moved(guests), moved(hosts), **kwargs)  # type: ignore[arg-type]
    np.testing.assert_allclose(here[EVIDENCE], there[EVIDENCE], rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=6)
@given(st.floats(0.3, 3.0), st.sampled_from(["INSIDE", "UNDER", "ON_TOP"]))
def test_evidence_is_free_of_the_unit_of_brightness(factor: float, name: str) -> None:
    image, guests, hosts = volume(getattr(drawn, name), seed=4)
    one = measure_frame(image, guests, hosts, optics=OPTICS, noise=Noise(NOISE_SD, BACKGROUND, 1.0), axial_fwhm_um=1.5)
    other = measure_frame(
        (image * factor).astype(np.float32), guests, hosts, optics=OPTICS, axial_fwhm_um=1.5,
        noise=Noise(NOISE_SD * factor, BACKGROUND * factor, factor),
    )  # fmt: skip
    np.testing.assert_allclose(one[EVIDENCE], other[EVIDENCE], rtol=1e-3, atol=1e-4)
