"""Small scenes drawn by hand: one flat host, one guest, and what the microscope makes of them."""

from dataclasses import replace

import numpy as np

from cicimage.simulation.bodies import GuestPose, HostPose
from cicimage.simulation.optics import make_psf
from cicimage.simulation.render import PAD, Renderer
from cicimage.simulation.spec import Acquisition, Scenario
from cicimage.simulation.surfaces import FieldGrid, stack_layers

SIDE_UM = 60.0
CENTRE = SIDE_UM / 2


def host(index=0, y=CENTRE, x=CENTRE, radius=25.0, lamella=1.5, nucleus_height=1.5, **more):
    """A round host, flat unless told otherwise; its nucleus lies out of the way."""
    pose = HostPose(
        host=index, y=y, x=x, radius=radius, angle=0.0, shape="lobed", amplitudes=np.zeros(5), phases=np.zeros(5),
        spread=1.0, lamella=lamella, nucleus_height=nucleus_height, nucleus_y=y, nucleus_x=x + 0.7 * radius,
        nucleus_radius=5.0, brightness=1.0, texture_seed=1,
    )  # fmt: skip
    return replace(pose, **more)


def guest(level="surface", engulfed=0.0, index=0, y=CENTRE, x=CENTRE, radius=3.75, **more):
    """A round guest in the middle of the scene."""
    pose = GuestPose(
        guest=index, y=y, x=x, radius=radius, elongation=1.0, angle=0.0, level=level,
        host=-1 if level == "surface" else 0, route="top", engulfed=engulfed, floor=0.8, cap=0.8, hover=0.0,
        brightness=1.0,
    )  # fmt: skip
    return replace(pose, **more)


def grid(um_per_px=0.5):
    return FieldGrid(0.0, 0.0, um_per_px, (round(SIDE_UM / um_per_px), round(SIDE_UM / um_per_px)))


def scene(hosts, guests, um_per_px=0.5):
    return stack_layers(hosts, guests, grid(um_per_px))


def light(layers, *, slices=40, um_per_z=0.5, first=-4.0, **optics):
    """Noise-free light (C, Z, Y, X) of a scene without mottle, and the heights of its slices."""
    acquisition = Acquisition(um_per_px=layers.grid.um_per_px, size_px=layers.grid.shape[0] - 2 * PAD, **optics)
    scenario = Scenario(name="scene", description="", acquisition=acquisition)
    heights = first + um_per_z * np.arange(slices)
    return Renderer(scenario, make_psf(acquisition), heights).render(layers, (), ()), heights
