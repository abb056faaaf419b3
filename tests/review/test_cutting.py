"""Masks cut in two and joined, as pictures."""

import numpy as np
import pytest

from cicimage.masks import Mask
from cicimage.review.cutting import join, split
from cicimage.review.keys import ReviewError


def mask_of(picture, y0=3, x0=7):
    return Mask(5, y0, x0, np.array([[c == "#" for c in line] for line in picture]))


def drawn(*masks):
    image = np.full((12, 24), ".")
    for sign, mask in zip("ab", masks, strict=False):
        image[mask.window][mask.pixels] = sign
    return ["".join(row[7:17]) for row in image[3:8]]


def test_two_discs_are_cut_at_their_neck():
    pair = mask_of([
        ".##...##..",
        "####.####.",
        "##########",
        "####.####.",
        ".##...##..",
    ])  # fmt: skip
    larger, smaller = split(pair, 9)
    assert (larger.label, smaller.label) == (5, 9)
    assert drawn(larger, smaller) == [
        ".aa...bb..",
        "aaaa.bbbb.",
        "aaaaabbbbb",
        "aaaa.bbbb.",
        ".aa...bb..",
    ]  # fmt: skip


def test_what_is_apart_already_is_cut_there():
    larger, smaller = split(mask_of(["###...##..", "###...##.."]), 9)
    assert drawn(larger, smaller)[:2] == ["aaa...bb..", "aaa...bb.."]


def test_a_single_pixel_cannot_be_two():
    with pytest.raises(ReviewError, match="must be large enough to be two, has 1 pixels"):
        split(mask_of(["#"]), 9)


def test_joining_undoes_splitting():
    pair = mask_of([".##...##..", "####.####.", "##########", "####.####.", ".##...##.."])
    whole = join(*split(pair, 9))
    assert whole.label == 5
    assert drawn(whole) == drawn(pair)
