"""Crops of an event and its filmstrip: storage without pickle, what is drawn where."""

from __future__ import annotations

import doctest
import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cicimage.crops
from cicimage.crops import GUEST, HOST
from cicimage.errors import CicimageError
from cicimage.figures import EventCrops, Outline, choose_frames, filmstrip, outlines_of, to_jpeg

H, W, Z = 24, 32, 4


def crops(**changes):
    """Two panels: host everywhere below slice 2, guest a block in the middle, nothing dead."""
    xy = np.zeros((2, 3, H, W), np.uint8)
    xy[:, 0] = 100
    xy[:, 1, 8:16, 12:20] = 100
    xz = np.zeros((2, 3, Z, W), np.uint8)
    xz[:, 0, :2] = 100
    fields = {
        "xy": xy,
        "frames": np.array([3, 7]),
        "time_h": np.array([0.3, 0.7]),
        "roles": ("host", "guest", "death"),
        "um_per_px": 0.5,
        "location": ("free", "inside"),
        "viability": ("alive", "dead"),
        "xz": xz,
        "um_per_z": 2.0,
        "limits": np.array([[0, 100]] * 3, np.float32),
        "guest_z_um": np.array([[0, 4], [np.nan, np.nan]], np.float32),
        "outlines": tuple(outlines_of(np.ones((8, 8), bool), 0, GUEST, (8, 12))),
    }
    return EventCrops(**(fields | changes))


def test_round_trip_through_npz_without_pickle():
    before = crops(cut_px=np.array([[12, 16], [11, 15]], np.float32))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **before.to_arrays())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as file:
        after = EventCrops.from_arrays(dict(file))
    assert after.roles == before.roles
    assert after.location == before.location
    assert after.um_per_z == before.um_per_z
    for name in ("xy", "xz", "frames", "time_h", "limits", "cut_px"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.outlines[0].points_px, before.outlines[0].points_px)


def test_round_trip_without_outlines_or_depth():
    flat = crops(xz=None, um_per_z=None, guest_z_um=None, outlines=())
    after = EventCrops.from_arrays(flat.to_arrays())
    assert after.xz is None
    assert after.outlines == ()


BAD = {
    "xy is flat": ({"xy": np.zeros((2, H, W), np.uint8)}, r"xy must be \(panels, channels, h, w\)"),
    "a frame too many": ({"frames": np.array([1, 2, 3])}, r"frames must be \(2,\)"),
    "a role too few": ({"roles": ("host", "guest")}, r"roles must be \(3,\)"),
    "limits of one channel": ({"limits": np.zeros((1, 2), np.float32)}, r"limits must be \(3, 2\)"),
    "xz of another width": ({"xz": np.zeros((2, 3, Z, W + 1), np.uint8)}, r"xz must be \(2, 3, slices, 32\)"),
    "no focus step": ({"um_per_z": None}, "need um_per_z"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    changes, message = BAD[name]
    with pytest.raises(CicimageError, match=message):
        crops(**changes)


def test_missing_or_torn_arrays_are_named():
    arrays = crops().to_arrays()
    with pytest.raises(CicimageError, match="'xy' is missing"):
        EventCrops.from_arrays({k: v for k, v in arrays.items() if k != "xy"})
    with pytest.raises(CicimageError, match="outlines do not fit"):
        EventCrops.from_arrays({**arrays, "outline_panel": np.zeros(5, np.int32)})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 300).map(float), st.just(float("nan"))), min_size=1, max_size=5),
    st.integers(1, 301),
    st.integers(2, 10),
)
def test_chosen_frames_are_few_ascending_and_in_the_movie(anchors, n_frames, n_panels):
    chosen = choose_frames(anchors, n_frames, n_panels)
    assert chosen == sorted(set(chosen))
    assert all(0 <= f < n_frames for f in chosen)
    assert len(chosen) <= n_panels
    points = {int(a) for a in anchors if a is not None and a == a}
    if points and len(points) + 2 <= n_panels and max(points) < n_frames:
        assert points <= set(chosen)


def test_outlines_of_a_block_run_along_its_edge():
    (outline,) = outlines_of(np.ones((3, 4), bool), 1, HOST, (10, 20))
    assert outline.panel == 1
    assert outline.points_px.min(axis=0).tolist() == [10, 20]
    assert outline.points_px.max(axis=0).tolist() == [12, 23]


# ---------------------------------------------------------------- the strip


def tile(strip, panel, row_top, height, tile_px=64):
    left = 46 + panel * (tile_px + 3)
    return strip.image[row_top : row_top + height, left : left + tile_px]


def test_host_is_magenta_guest_green_and_both_white():
    strip = filmstrip(crops(), tile_px=64)
    xy = tile(strip, 0, 18, 48)
    assert xy[2, 2].tolist() == [255, 0, 255]
    assert xy[24, 32].tolist() == [255, 255, 255]


def test_highest_slice_comes_on_top():
    strip = filmstrip(crops(), tile_px=64)
    # 4 slices of 2 um over 0.25 um per tile pixel: 32 pixels; below xy (48) and the death marker (24).
    xz = tile(strip, 0, 18 + 48 + 3 + 24 + 3, 32)
    assert xz[1, 5].tolist() == [0, 0, 0]
    assert xz[-2, 5].tolist() == [255, 0, 255]


def test_state_time_entry_and_scale_are_written():
    strip = filmstrip(crops(), entry_frame=7, tile_px=64)
    svg = strip.overlay()
    for text in ("0:18", "0:42  entry", "free", "dead", "µm", "death", "xz"):
        assert f">{text}</text>" in svg or text in svg
    assert "0:18 free" in strip.alt
    assert "0:42 inside, dead" in strip.alt


def test_outline_lies_around_the_guest():
    strip = filmstrip(crops(guest_z_um=None), tile_px=64)
    guest = next(m for m in strip.marks if getattr(m, "kind", "") == "guest")
    middle = guest.points.mean(axis=0) - (18, 46)
    # The block's middle, pixel (11.5, 15.5), at two tile pixels each.
    np.testing.assert_allclose(middle, (23.5, 31.5), atol=1.0)


def test_an_outline_cut_by_the_crop_does_not_follow_its_border():
    cut = tuple(outlines_of(np.ones((H, 10), bool), 0, HOST, (0, 0)))
    (line,) = [m for m in filmstrip(crops(outlines=cut), tile_px=64).marks if getattr(m, "kind", "") == "host"]
    # Of a band at the crop's left only its right edge is an edge of the cell.
    assert not line.closed
    assert np.ptp(line.points[:, 1]) == 0
    assert np.ptp(line.points[:, 0]) > 40


def test_noise_of_a_death_marker_is_not_shown_as_a_signal():
    rng = np.random.default_rng(0)
    xy = np.full((2, 3, H, W), 100, np.uint16) + rng.poisson(9, (2, 3, H, W)).astype(np.uint16)
    quiet = crops(xy=xy, limits=None, outlines=(), guest_z_um=None, xz=None, um_per_z=None)
    assert tile(filmstrip(quiet, tile_px=64), 0, 18 + 48 + 3, 24).max() < 150
    xy[1, 2, 8:16, 12:20] += 500
    assert tile(filmstrip(quiet, tile_px=64), 1, 18 + 48 + 3, 24).max() == 255


def test_overlay_escapes_states_it_does_not_know():
    strip = filmstrip(crops(location=("<script>", "inside")), tile_px=200)
    assert "<script" not in strip.overlay()
    assert "&lt;script&gt;" in strip.overlay()


def test_two_dimensional_and_featureless_crops_are_shown():
    flat = crops(
        xz=None, um_per_z=None, guest_z_um=None, outlines=(), limits=None, xy=np.full((2, 3, H, W), 7, np.uint16)
    )
    strip = filmstrip(flat, tile_px=64)
    assert strip.image.shape[0] == 18 + 48 + 3 + 24 + 3 + 17


def test_jpeg_reads_back():
    strip = filmstrip(crops(outlines=(Outline(0, HOST, np.array([[0, 0], [5, 9], [9, 2]], np.float32)),)), tile_px=64)
    picture = cv2.imdecode(np.frombuffer(to_jpeg(strip.image, 90), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == strip.image.shape


def test_examples_in_the_documentation():
    assert doctest.testmod(cicimage.crops).failed == 0
