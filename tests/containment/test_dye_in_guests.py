"""Host dye in guests is measured at guests over hosts and at guests that no host is near, and said from a level on."""

import numpy as np
import pandas as pd
import pytest

from cicimage.containment.dye_in_guests import FEW, dye_in_guests, outside_signal
from cicimage.containment.input_faults import InputQuality, input_faults
from cicimage.masks import Masks
from cicimage.methods import Optics
from tests.conftest import disc


def over_hosts(ratios, error=0.05) -> pd.DataFrame:
    return pd.DataFrame({"footprint_share": 1.0, "void": 1.0 - np.asarray(ratios, np.float64), "void_se": error})


def test_guests_brighter_than_the_host_beside_them_are_said():
    found = dye_in_guests(over_hosts([2.6] * 10 + [0.7] * 30))
    assert (found.code, found.severity, found.field) == ("host_dye_in_guests", "unresolved", "channels.host")
    assert "for 25 % of the guests over hosts (median 0.7 times)" in found.value


@pytest.mark.parametrize(
    "evidence",
    [
        over_hosts([0.6] * 37 + [2.4] * 3), over_hosts([1.6] * 40), over_hosts([2.5] * (FEW - 1)),
        over_hosts([2.5] * 40, error=0.8), over_hosts([2.5] * 40).assign(footprint_share=0.3), pd.DataFrame(),
        over_hosts([np.nan] * 40),
    ],
    ids=["a few", "a thick host", "too few", "noise", "beside hosts", "none", "no evidence"],
)  # fmt: skip
def test_what_hosts_and_noise_explain_is_not_said(evidence):
    assert dye_in_guests(evidence) is None


def test_one_guest_in_many_frames_is_one_guest():
    """A guest beside the thin edge of a host looks bright in all its frames; the others tell that guests are not so."""
    ratios, guests = [2.6] * 30 + [0.7] * 90, [1] * 30 + [2, 3, 4, 5, 6, 7] * 15
    assert dye_in_guests(over_hosts(ratios).assign(guest_id=guests)) is None
    spread = over_hosts(ratios).assign(guest_id=list(range(30)) + list(range(90)))
    assert dye_in_guests(spread) is not None
    assert dye_in_guests(over_hosts([2.6] * 60).assign(guest_id=[1, 2] * 30)) is None, "two guests tell of no dye"


def test_guests_that_no_host_is_near_tell_a_stain_of_both():
    found = dye_in_guests(over_hosts([0.7] * 40), np.full(30, 0.9))
    assert "carry 0.90 times the signal of a host" in found.value
    assert dye_in_guests(over_hosts([0.7] * 40), np.full(30, 0.1)) is None
    assert dye_in_guests(over_hosts([0.7] * 40), np.full(FEW - 1, 0.9)) is None, "too few to tell"


@pytest.mark.parametrize(("dye", "slices"), [(0.0, 1), (1.0, 1), (2.0, 3)])
def test_signal_outside_is_measured_over_that_of_hosts(dye, slices):
    size = (140, 140)
    host, free, near = disc(size, 45, 45, 30), disc(size, 110, 115, 4), disc(size, 45, 82, 4)
    expected = 100 + 200 * host + 200 * dye * (free + near)
    image = np.repeat(np.random.default_rng(1).normal(expected, 2.0)[None], slices, axis=0).astype(np.float32)
    guests = Masks.from_labels((free > 0.5).astype(np.int32) + 2 * (near > 0.5))
    hosts = Masks.from_labels((host > 0.5).astype(np.int32))
    found = outside_signal(image, guests, hosts, background=100.0, um_per_px=1.0)
    assert len(found) == 1, "the other lies beside the host"
    assert found[0] == pytest.approx(0.92 * dye, abs=0.08)


def test_without_hosts_or_room_beside_them_nothing_is_measured():
    image = np.full((1, 60, 60), 100.0, np.float32)
    guests = Masks.from_labels(np.pad(np.ones((8, 8), np.int32), 26))
    nothing, everywhere = (Masks.from_labels(np.full((60, 60), n, np.int32)) for n in (0, 1))
    for hosts in (nothing, everywhere):
        assert len(outside_signal(image, guests, hosts, background=90.0, um_per_px=1.0)) == 0


def test_dye_in_guests_is_an_input_fault():
    cells = pd.DataFrame({"area_um2": [44.0] * 40, "observed": True})
    hosts = cells.assign(area_um2=3000.0)
    evidence = over_hosts([3.0] * 40).assign(host_signal=30.0)
    assert [f.code for f in input_faults(cells, hosts, evidence, Optics(0.65))] == ["host_dye_in_guests"]
    quality = InputQuality(outside_signal=(0.9,) * 30)
    found = input_faults(cells, hosts, over_hosts([0.7] * 40).assign(host_signal=30.0), Optics(0.65), quality=quality)
    assert [f.code for f in found] == ["host_dye_in_guests"]
    assert input_faults(cells, hosts, over_hosts([0.7] * 40).assign(host_signal=30.0), Optics(0.65)) == ()
