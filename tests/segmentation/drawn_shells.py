"""Cells of one stain drawn from shells: membrane and nuclei of round cells and of a spread one, in a stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

UM_PER_PX, UM_PER_Z = 0.65, 1.5
FACE = 120.0


@dataclass(frozen=True)
class Ball:
    """A round cell: centre (z, y, x), diameter, and further membranes above and below it."""

    z: float
    y: float
    x: float
    diameter: float = 13.0
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class Sheet:
    """A spread cell: centre, diameter, thickness; a hill over its nucleus."""

    y: float
    x: float
    diameter: float = 50.0
    thick: float = 4.0
    hill: float = 7.0


def picture(things, *, shape_um=(27.0, 70.0, 70.0), blur_um=(1.0, 0.3), seed=0):
    """(Z, Y, X) float32 membrane and nuclei, blurred, with photon noise on 100 counts."""
    fine = 3
    step = np.array([UM_PER_Z / fine, UM_PER_PX, UM_PER_PX])
    shape = np.round(np.array(shape_um) / step).astype(int)
    zz, yy, xx = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, step, strict=True)), indexing="ij")
    membrane, nuclei = np.zeros(shape), np.zeros(shape)
    for thing in things:
        away = np.hypot(yy - thing.y, xx - thing.x)
        if isinstance(thing, Ball):
            far = np.hypot(away, (zz - thing.z) / 0.93)
            membrane += _film(far - thing.diameter / 2)
            nuclei += far < 0.34 * thing.diameter
            for k in range(thing.above):
                membrane += _film(far - thing.diameter / 2 - 0.5 * (k + 1)) * (zz > thing.z + 0.2 * thing.diameter)
            for k in range(thing.below):
                membrane += _film(far - thing.diameter / 2 - 0.5 * (k + 1)) * (zz < thing.z - 0.2 * thing.diameter)
        else:
            top = 2.0 + thing.thick + (thing.hill - thing.thick) * np.exp(-0.5 * (away / 5.0) ** 2)
            within = away < thing.diameter / 2
            membrane += (_film(zz - 2.0) + _film(zz - top)) * within
            wall = (zz > 2.0) & (zz < 2.0 + thing.thick)
            membrane += _film(away - thing.diameter / 2) * wall
            nuclei += np.hypot(away / 4.5, (zz - 2.0 - thing.hill / 2) / (0.4 * thing.hill)) < 1
    rng = np.random.default_rng(seed)
    sigma = (blur_um[0] / step[0], blur_um[1] / UM_PER_PX, blur_um[1] / UM_PER_PX)
    out = []
    for dye in (FACE * membrane, 300.0 * nuclei):
        light = ndimage.gaussian_filter(dye, sigma)[::fine]
        out.append((rng.poisson(light * 4) / 4 + 100 + rng.normal(0, 2, light.shape)).astype(np.float32))
    return out[0], out[1]


def _film(away):
    """A membrane about 0.6 um thick; away is the distance from it, um."""
    return np.exp(-0.5 * (away / 0.35) ** 2)
