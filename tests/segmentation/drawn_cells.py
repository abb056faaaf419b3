"""Cells drawn as text, rendered as a camera would see them: blurred, on a background, with noise."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from cicimage.methods import Scene

UM_PER_PX = 0.65

# One letter is 4 um. Capital: centre of a bright cell of 8 um, small: a dim one (a tenth), d: dying and shrunken
# (5 um), *: debris (1.5 um, bright), H: a bright smear of 30 um that is no guest.
GUEST_STEP_UM = 4.0
BODIES = {"O": (8.0, 400.0), "o": (8.0, 40.0), "d": (5.0, 400.0), "*": (1.5, 400.0), "H": (30.0, 200.0)}

# One letter is 5 um: . nothing, - lamella, + body, @ body over the nucleus, g: body with a guest's hole.
HOST_STEP_UM = 5.0
THICKNESS = {".": 0.0, "-": 0.4, "=": 0.8, "+": 0.6, "@": 1.5, "g": 0.1}


def guest_picture(drawing: str, *, seed: int = 0, noise: float = 3.0, um_per_px: float = UM_PER_PX):
    """(1, Y, X) float32 image of the bodies drawn, and their centres and diameters in um, (n, 3) y, x, d."""
    rows = drawing.strip("\n").split("\n")
    height, width = len(rows), max(len(r) for r in rows)
    shape = tuple(round(n * GUEST_STEP_UM / um_per_px) for n in (height, width))
    yy, xx = np.mgrid[: shape[0], : shape[1]] * um_per_px
    image = np.zeros(shape)
    truth = []
    for i, row in enumerate(rows):
        for j, letter in enumerate(row):
            if letter in BODIES:
                diameter, peak = BODIES[letter]
                y, x = (i + 0.5) * GUEST_STEP_UM, (j + 0.5) * GUEST_STEP_UM
                far = np.hypot(yy - y, xx - x)
                image += peak * np.clip((diameter / 2 - far) / um_per_px + 0.5, 0, 1)
                if letter in "Ood":
                    truth.append((y, x, diameter))
    return photographed(image, um_per_px, seed, noise), np.array(truth).reshape(-1, 3)


def host_picture(drawing: str, *, seed: int = 0, noise: float = 3.0, um_per_px: float = UM_PER_PX):
    """(1, Y, X) float32 image of the thickness drawn, and the letters at every pixel, (Y, X) str."""
    rows = drawing.strip("\n").split("\n")
    width = max(len(r) for r in rows)
    letters = np.array([list(r.ljust(width, ".")) for r in rows])
    shape = tuple(round(n * HOST_STEP_UM / um_per_px) for n in letters.shape)
    ys = np.minimum((np.arange(shape[0]) * um_per_px / HOST_STEP_UM).astype(int), letters.shape[0] - 1)
    xs = np.minimum((np.arange(shape[1]) * um_per_px / HOST_STEP_UM).astype(int), letters.shape[1] - 1)
    painted = letters[ys[:, None], xs]
    thickness = np.vectorize(THICKNESS.get)(painted)
    return photographed(100.0 * ndimage.gaussian_filter(thickness, 1.0 / um_per_px), um_per_px, seed, noise), painted


def photographed(signal, um_per_px, seed, noise):
    """Blur of 0.5 um, background of 100, noise of the camera and of the light."""
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(signal.astype(np.float32), (0, 0), 0.5 / um_per_px)
    light = rng.poisson(np.maximum(blurred, 0) * 4) / 4 if noise else blurred
    return (light + 100 + rng.normal(0, 1, blurred.shape) * noise).astype(np.float32)[None]


def balls(
    centres_um, *, shape_um=(24.0, 60.0, 60.0), um_per_px=UM_PER_PX, um_per_z=1.0, psf_um=(1.2, 0.4), seed=0, noise=3.0
):
    """(Z, Y, X) float32 stack of balls (z, y, x, diameter, peak), blurred axially and laterally, on 100 counts."""
    step = np.array([um_per_z, um_per_px, um_per_px])
    shape = tuple(np.round(np.array(shape_um) / step).astype(int))
    fine = 4  # slices are thin samples of a continuous ball
    zz, yy, xx = np.meshgrid(
        *(np.arange(n * f) / f * s for n, f, s in zip(shape, (fine, 1, 1), step, strict=True)), indexing="ij"
    )
    volume = np.zeros(zz.shape, dtype=np.float32)
    for z, y, x, diameter, peak in centres_um:
        far = np.sqrt((zz - z) ** 2 + (yy - y) ** 2 + (xx - x) ** 2)
        volume += peak * np.clip((diameter / 2 - far) / um_per_px + 0.5, 0, 1)
    volume = ndimage.gaussian_filter(
        volume, (psf_um[0] / um_per_z * fine, psf_um[1] / um_per_px, psf_um[1] / um_per_px)
    )
    rng = np.random.default_rng(seed)
    light = rng.poisson(volume[::fine] * 4) / 4
    return (light + 100 + rng.normal(0, noise, shape)).astype(np.float32)


def scene(image, *, um_per_px=UM_PER_PX, um_per_z=None, diameter_um=(6.0, 12.0), **more):
    """A scene of one frame."""
    return Scene(image, um_per_px, um_per_z, diameter_um, **more)


def found_um(objects, um_per_px=UM_PER_PX):
    """Centroids of the masks, (n, 2) um."""
    return np.array([m.centroid_px() for m in objects.masks]).reshape(-1, 2) * um_per_px


def matched(found, truth, within_um=2.0):
    """How many of the true centres (n, 2+) have a found one of their own within a distance."""
    from scipy.optimize import linear_sum_assignment

    if not len(found) or not len(truth):
        return 0
    distance = np.linalg.norm(found[:, None] - np.asarray(truth)[None, :, : found.shape[1]], axis=2)
    i, j = linear_sum_assignment(np.minimum(distance, within_um))
    return int((distance[i, j] < within_um).sum())
