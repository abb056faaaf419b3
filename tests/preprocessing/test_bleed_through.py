from __future__ import annotations

import numpy as np
import pytest
from painted_field import camera, guests, hosts

from cicimage.preprocessing.bleed_through import RegressionBleedThrough
from cicimage.preprocessing.correction import Corrections


def mixed(rng, into_host, into_guest, n_hosts=12, planes=6):
    """(N, 2, Y, X): host channel with a share of the guests' dye, and the other way round."""
    standing = hosts(rng, n_hosts)
    out = []
    for _ in range(planes):
        moving = guests(rng, 25)
        out.append(
            np.stack(
                [camera(rng, standing + 20 + into_host * moving), camera(rng, moving + 20 + into_guest * standing)]
            )
        )
    return np.stack(out)


@pytest.mark.parametrize(("into_host", "into_guest"), [(0.0, 0.0), (0.02, 0.0), (0.15, 0.0), (0.1, 0.05), (0.0, 0.15)])
def test_finds_planted_shares(into_host, into_guest):
    found = RegressionBleedThrough().estimate(mixed(np.random.default_rng(1), into_host, into_guest))
    assert found[0, 1] == pytest.approx(into_host, abs=0.012)
    assert found[1, 0] == pytest.approx(into_guest, abs=0.02)
    assert found[0, 0] == found[1, 1] == 0


def test_a_third_channel_is_not_counted_twice():
    rng = np.random.default_rng(2)
    two = mixed(rng, 0.1, 0.0)
    sample = np.concatenate([two, np.stack([camera(rng, guests(rng, 25) + 20)[None] for _ in range(len(two))])], axis=1)
    found = RegressionBleedThrough().estimate(sample)
    assert found[0, 1] == pytest.approx(0.1, abs=0.015)
    assert np.delete(found.ravel(), 1).max() < 0.01


def test_empty_channels_and_single_ones_give_zeros():
    rng = np.random.default_rng(3)
    assert not RegressionBleedThrough().estimate(camera(rng, np.full((4, 2, 64, 64), 20.0))).any()
    assert RegressionBleedThrough().estimate(camera(rng, np.full((4, 1, 64, 64), 20.0))).tolist() == [[0.0]]


def test_a_dye_that_is_in_both_is_left_alone():
    rng = np.random.default_rng(4)
    standing = hosts(rng, 12)
    sample = np.stack([np.stack([camera(rng, standing + 20), camera(rng, 0.9 * standing + 20)]) for _ in range(4)])
    assert not RegressionBleedThrough().estimate(sample).any()


def test_unmixing_removes_what_was_found():
    rng = np.random.default_rng(5)
    sample = mixed(rng, 0.1, 0.0)
    matrix = RegressionBleedThrough().estimate(sample)
    background = np.array([120.0, 120.0], np.float32)
    clean = Corrections(bleed=matrix, background=background).apply(sample[0][:, None])[:, 0]
    on_guests = sample[0, 1] > 400
    before, after = sample[0, 0][on_guests], clean[0][on_guests]
    truth = 0.1 * (sample[0, 1][on_guests] - 120).mean()
    assert before.mean() - after.mean() == pytest.approx(truth, rel=0.15)
