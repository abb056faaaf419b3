"""What the functions on arrays take: images, label images and masks, brought into the form of the pipeline."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array, Float64Array
from cicimage.errors import ConfigurationError
from cicimage.masks import Masks
from cicimage.methods import Method, Objects, Optics, build
from cicimage.segmentation.axial import RoundCells, axial_profiles, measure_heights

Labels = npt.ArrayLike | Masks
"""A (Y, X) label image, 0 for background, or masks that may overlap."""
M = TypeVar("M", bound=Method)


def as_volume(image: npt.ArrayLike, name: str = "image") -> Float32Array:
    """Convert an image to (Z, Y, X) float32, Z = 1 for a plane.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array
        One channel of one frame.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    ConfigurationError
        Another number of axes, an empty axis, or values that are no real numbers.
    """
    array = np.asarray(image)
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "uifb":
        raise ConfigurationError(
            f"{name} must be one frame of one channel, a (Y, X) or (Z, Y, X) array of numbers, and has shape "
            f"{array.shape} of {array.dtype}; index time and channel first, as in movie[t, c]"
        )
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array, dtype=np.float32)


def as_masks(labels: Labels, name: str, shape: tuple[int, ...] | None = None) -> Masks:
    """Convert a label image to masks; masks are returned as they are.

    Parameters
    ----------
    labels : (Y, X) int array or Masks
        Cells of one frame.
    name : str
        Name of the argument, for messages.
    shape : (int, int), optional
        Height and width that it must have.

    Raises
    ------
    ConfigurationError
        No label image, or one of another shape.
    """
    if not isinstance(labels, Masks):
        image = np.asarray(labels)
        if image.ndim != 2 or image.dtype.kind not in "uib" or (image.size and int(image.min()) < 0):
            raise ConfigurationError(
                f"{name} must be a (Y, X) image of integer labels from 0 (background) up, or cicimage.masks.Masks, and "
                f"is {image.dtype} of shape {image.shape}; label one frame, as scikit-image's measure.label does"
            )
        labels = Masks.from_labels(image)
    if shape is not None and labels.shape != tuple(shape):
        raise ConfigurationError(
            f"{name} must have the height and width of the image, {tuple(shape)}, and have {labels.shape}; "
            "segment the same frame"
        )
    return labels


def as_optics(optics: Optics | float) -> Optics:
    """Take a pixel size in um for the optics of a plane of which nothing else is known.

    Parameters
    ----------
    optics : Optics or float
        Optics, or um per pixel alone.

    Raises
    ------
    ConfigurationError
        A scale that is not above 0.
    """
    found = optics if isinstance(optics, Optics) else Optics(um_per_px=float(optics))
    for name, value in (("um_per_px", found.um_per_px), ("um_per_z", found.um_per_z)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ConfigurationError(f"{name} must be above 0 um, is {value:g}; give the scale of the image")
    return found


def as_method(step: str, method: M | str, contract: type[M]) -> M:
    """Build a method by name with its default options; a method that is built already is returned as it is.

    Parameters
    ----------
    step : str
        Step of the pipeline, such as ``segment_guest``.
    method : Method or str
        The method, or the name of its entry point.
    contract : type
        Base class of the step.

    Raises
    ------
    ConfigurationError
        No method of that name, or one for another step.
    """
    built = build(step, method) if isinstance(method, str) else method
    if not isinstance(built, contract):
        raise ConfigurationError(
            f"method for {step} must be a {contract.__name__} or its name, is {type(built).__name__}; "
            "`cicimage methods` lists them"
        )
    return built


def require_step(volume: Float32Array, optics: Optics) -> None:
    """Refuse a stack whose focus step is not known.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Image.
    optics : Optics
        Its scale.

    Raises
    ------
    ConfigurationError
        More than one slice and no ``um_per_z``.
    """
    if volume.shape[0] > 1 and optics.um_per_z is None:
        raise ConfigurationError(
            f"a stack of {volume.shape[0]} slices needs its focus step, um_per_z is not known; "
            "give optics=cic.Optics(um_per_px=..., um_per_z=...)"
        )


def objects_of(volume: Float32Array, masks: Masks, optics: Optics) -> Objects:
    """Add to projected masks of round cells their heights, measured in a stack.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        The cells' own channel.
    masks : Masks
        The cells.
    optics : Optics
        Scale.

    Returns
    -------
    Objects
        Heights are NaN in a plane.
    """
    n = len(masks)
    if volume.shape[0] == 1 or optics.um_per_z is None or not n:
        return Objects(masks, np.full(n, np.nan), np.full(n, np.nan))
    y, x = np.array([m.centroid_px() for m in masks], dtype=np.float64).T
    radius = np.sqrt(np.array([m.area_px for m in masks]) / np.pi)
    start = axial_profiles(volume, y, x, radius, masks.coverage() > 0).argmax(axis=1).astype(np.float64)
    return Objects(masks, *measure_heights(volume, RoundCells(y, x, radius, start), optics.um_per_px, optics.um_per_z))


def without_heights(masks: Masks) -> Objects:
    """Masks of cells whose heights are not needed, such as spread hosts."""
    unknown: Float64Array = np.full(len(masks), np.nan)
    return Objects(masks, unknown, unknown.copy())


def plain(array: Any) -> npt.NDArray[Any]:
    """Read what an index of a lazy array returns (dask, zarr, h5py) into memory."""
    return np.asarray(array)
