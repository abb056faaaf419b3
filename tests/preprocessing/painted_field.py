"""Fields painted for these tests: spread hosts, round guests, a camera."""

from __future__ import annotations

import cv2
import numpy as np


def hosts(rng, n, size=256):
    field = np.zeros((size, size), np.float32)
    for _ in range(n):
        centre = int(rng.uniform(0, size)), int(rng.uniform(0, size))
        axes = int(rng.uniform(20, 45)), int(rng.uniform(12, 25))
        cv2.ellipse(field, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(60, 200)), -1)
    return cv2.GaussianBlur(field, (0, 0), 2)


def guests(rng, n, size=256):
    field = np.zeros((size, size), np.float32)
    for _ in range(n):
        centre = int(rng.uniform(0, size)), int(rng.uniform(0, size))
        cv2.circle(field, centre, 6, float(rng.uniform(150, 600)), -1)
    return cv2.GaussianBlur(field, (0, 0), 1.5)


def camera(rng, photons, offset=100.0, counts_per_photon=1.0):
    return (rng.poisson(photons) * counts_per_photon + offset + rng.normal(0, 2, photons.shape)).astype(np.float32)


def vignette(size, fall, y0=0.1, x0=-0.1):
    """cos^4 of the angle, falling by about that share in the corners; mean 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    tangent2 = ((y - y0) ** 2 + (x - x0) ** 2) * fall / 4
    gain = 1 / (1 + tangent2) ** 2
    return (gain / gain.mean()).astype(np.float32)
