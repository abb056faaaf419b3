"""Guests and hosts of one frame as label images."""

from __future__ import annotations

from typing import Literal, overload

import numpy.typing as npt

from cicimage.api.inputs import Labels, as_masks, as_method, as_optics, as_volume, require_step
from cicimage.masks import LabelArray, Masks
from cicimage.methods import GuestSegmenter, HostSegmenter, Optics, Scene


@overload
def segment_guests(
    image: npt.ArrayLike, optics: Optics | float, *, diameter_um: tuple[float, float] = ..., stain: str = ...,
    method: GuestSegmenter | str = ..., overlap: Literal[False] = ...,
) -> LabelArray: ...  # fmt: skip
@overload
def segment_guests(
    image: npt.ArrayLike, optics: Optics | float, *, diameter_um: tuple[float, float] = ..., stain: str = ...,
    method: GuestSegmenter | str = ..., overlap: Literal[True],
) -> Masks: ...  # fmt: skip
def segment_guests(
    image: npt.ArrayLike,
    optics: Optics | float,
    *,
    diameter_um: tuple[float, float] = (6.0, 12.0),
    stain: str = "cytosol",
    method: GuestSegmenter | str = "log",
    overlap: bool = False,
) -> LabelArray | Masks:
    """Find guests: small round cells, crowded, bright and dim in one field.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array
        The guests' channel of one frame, in counts.
    optics : Optics or float
        Scale, or um per pixel alone for a plane.
    diameter_um : (float, float)
        Smallest and largest expected diameter, um.
    stain : {"cytosol", "membrane", "nucleus", "none"}
        What the channel shows; none is brightfield or phase contrast.
    method : GuestSegmenter or str
        The segmenter, or its name; ``LogGuestSegmenter(min_snr=5)`` for one with options.
    overlap : bool
        Return masks, which keep the pixels that two cells share, instead of a label image.

    Returns
    -------
    (Y, X) int32 array, or Masks with ``overlap``
        Labels from 1; 0 is background; where cells overlap the later one shows.

    Raises
    ------
    ConfigurationError
        An image of another shape, a stack without focus step, or a method that is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import cicimage as cic
    >>> y, x = np.mgrid[:96, :96]
    >>> image = 100.0 + 900.0 * np.exp(-(((y - 48) ** 2 + (x - 30) ** 2) / 7.0**2) ** 3)
    >>> image += np.random.default_rng(0).normal(0, 5, image.shape)
    >>> labels = cic.segment_guests(image, 0.65)
    >>> labels.max(), labels[48, 30]
    (np.int32(1), np.int32(1))
    """
    volume, found = as_volume(image), as_optics(optics)
    require_step(volume, found)
    segmenter: GuestSegmenter = as_method("segment_guest", method, GuestSegmenter)  # type: ignore[type-abstract]
    masks = segmenter.segment(Scene(volume, found.um_per_px, found.um_per_z, diameter_um, stain)).masks
    return masks if overlap else masks.to_labels()


@overload
def segment_hosts(
    image: npt.ArrayLike, optics: Optics | float, *, guests: Labels | None = ..., nuclei: npt.ArrayLike | None = ...,
    diameter_um: tuple[float, float] = ..., stain: str = ..., method: HostSegmenter | str = ...,
    overlap: Literal[False] = ...,
) -> LabelArray: ...  # fmt: skip
@overload
def segment_hosts(
    image: npt.ArrayLike, optics: Optics | float, *, guests: Labels | None = ..., nuclei: npt.ArrayLike | None = ...,
    diameter_um: tuple[float, float] = ..., stain: str = ..., method: HostSegmenter | str = ...,
    overlap: Literal[True],
) -> Masks: ...  # fmt: skip
def segment_hosts(
    image: npt.ArrayLike,
    optics: Optics | float,
    *,
    guests: Labels | None = None,
    nuclei: npt.ArrayLike | None = None,
    diameter_um: tuple[float, float] = (50.0, 150.0),
    stain: str = "cytosol",
    method: HostSegmenter | str = "threshold",
    overlap: bool = False,
) -> LabelArray | Masks:
    """Find hosts: large spread cells that touch and overlap, with dark holes where guests are.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array
        The hosts' channel of one frame, in counts.
    optics : Optics or float
        Scale, or um per pixel alone for a plane.
    guests : (Y, X) int array or Masks, optional
        Guests of the same frame: a hole that a guest makes belongs to its host.
    nuclei : array, optional
        Nuclear channel of the hosts, of the shape of ``image``: splits hosts that touch.
    diameter_um : (float, float)
        Smallest and largest expected diameter, um.
    stain : {"cytosol", "membrane", "nucleus", "none"}
        What the channel shows; none is brightfield or phase contrast.
    method : HostSegmenter or str
        The segmenter, or its name.
    overlap : bool
        Return masks, which keep the ground that two hosts share, instead of a label image.

    Returns
    -------
    (Y, X) int32 array, or Masks with ``overlap``
        Labels from 1; 0 is background; where cells overlap the later one shows.

    Raises
    ------
    ConfigurationError
        An image of another shape, a stack without focus step, or a method that is not installed.
    """
    volume, found = as_volume(image), as_optics(optics)
    require_step(volume, found)
    segmenter: HostSegmenter = as_method("segment_host", method, HostSegmenter)  # type: ignore[type-abstract]
    scene = Scene(
        volume, found.um_per_px, found.um_per_z, diameter_um, stain,
        nuclei=None if nuclei is None else as_volume(nuclei, "nuclei"),
        inner=None if guests is None else as_masks(guests, "guests", volume.shape[1:]),
    )  # fmt: skip
    masks = segmenter.segment(scene).masks
    return masks if overlap else masks.to_labels()
