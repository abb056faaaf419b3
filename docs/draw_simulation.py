"""Draws the pictures of simulation.md: ``python docs/draw_simulation.py`` (about two minutes).

Real recordings are read from the folder named by CICIMAGE_TEST_DATA; without it their curves are left out.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import tifffile
from matplotlib import pyplot as plt

from cicimage.simulation.field import simulate_field
from cicimage.simulation.optics import make_psf
from cicimage.simulation.render import PAD, Renderer
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.spec import Acquisition, Scenario

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "simulation"))
from set_scene import CENTRE, guest, host, scene  # the tests' hand-drawn scenes

HERE = Path(__file__).parent / "simulation"
REAL = os.environ.get("CICIMAGE_TEST_DATA")
COLOURS = {3: ((0, 1, 0), (1, 0, 1), (1, 0.3, 0)), 4: ((0.6, 0.9, 0.6), (0.2, 0.3, 1), (1, 0.9, 0), (1, 0, 0))}


def save(figure, name):
    """Write a palette PNG: these pictures need few colours and must stay small."""
    path = HERE / f"{name}.png"
    figure.savefig(path, dpi=100)
    plt.close(figure)
    import PIL.Image

    PIL.Image.open(path).convert("RGB").quantize(160, dither=PIL.Image.Dither.NONE).save(path, optimize=True)
    sys.stderr.write(f"{path} {path.stat().st_size // 1000} kB\n")


def coloured(planes, peaks):
    """Overlay of channels (C, Y, X) as RGB."""
    out = np.zeros((*planes.shape[1:], 3))
    for plane, peak, colour in zip(planes.astype(float), peaks, COLOURS[len(planes)], strict=True):
        out += np.clip((plane - 102) / (peak - 102), 0, 1)[..., None] * np.array(colour)
    return np.clip(out, 0, 1)


def peaks_of(frame):
    """What is shown at full brightness, per channel."""
    return [max(float(np.percentile(c, 99.8)), 140.0) for c in frame]


def draw_field():
    """A field at three heights and two vertical cuts."""
    field = simulate_field(PRESETS["cxcr4-blockade"], 3, "BTKi")
    t = 30
    frame, truth = field.frame(t), field.guests_in(t)
    peaks, px = peaks_of(frame), field.scenario.acquisition.um_per_px
    figure, axes = plt.subplot_mosaic("abc;def", figsize=(10, 4.9), height_ratios=(3.2, 1.25), layout="constrained")
    for axis, z in zip("abc", (2, 5, 8), strict=True):
        axes[axis].imshow(coloured(frame[:, z], peaks), extent=(0, 512 * px, 512 * px, 0))
        axes[axis].set_title(f"slice {z}, {field.slices_um(t)[z]:.0f} µm above the glass", fontsize=9)
    apart = np.hypot(
        truth["y_um"].to_numpy()[:, None] - truth["y_um"].to_numpy(),
        truth["x_um"].to_numpy()[:, None] - truth["x_um"].to_numpy(),
    )
    clear = truth[~truth["touches_border"] & ((apart < 14).sum(1) == 1)]
    for axis, place, contact in (("d", "inside", "none"), ("e", "attached", "under"), ("f", "attached", "on_top")):
        rows = clear[(clear["location"] == place) & (clear["contact"] == contact) & (clear["viability"] == "alive")]
        row = rows.iloc[(rows["diameter_um"] - 8).abs().argmin()]
        y, x = round(row["y_um"] / px), round(row["x_um"] / px)
        x = int(np.clip(x, 45, 512 - 45))
        cut = frame[:, :, y, x - 45 : x + 45]
        tall = np.stack([cv2.resize(c, (360, 12 * 6), interpolation=cv2.INTER_LINEAR) for c in cut])
        axes[axis].imshow(coloured(tall, peaks)[::-1], extent=(0, 90 * px, -1, 11), aspect=1.0)
        name = place if place == "inside" else contact.replace("_", " ")
        axes[axis].set_title(
            f"vertical cut: {name} (cap {row['cap_um']:.1f}, floor {row['floor_um']:.1f} µm)", fontsize=9
        )
    for axis in axes.values():
        axis.tick_params(labelsize=7)
    axes["a"].set_ylabel("µm", fontsize=8)
    save(figure, "field")


SCENES = {
    "on top": guest(),
    "under": guest("under"),
    "entering from the top": guest("engulfed", 0.6, entering=True),
    "entering from below": guest("engulfed", 0.6, route="under", entering=True),
    "inside": guest("engulfed", 1.35),
}


def rendered(layers, **optics):
    """Noise-free host and guest light of a scene, and slice heights."""
    acquisition = Acquisition(um_per_px=0.5, size_px=layers.grid.shape[0] - 2 * PAD, **optics)
    heights = np.linspace(-3, 13, 65)
    made = Scenario(name="scene", description="", acquisition=acquisition, hosts=host_spec())
    return Renderer(made, make_psf(acquisition), heights).render(layers, (), ()), heights


def host_spec():
    """A host without mottle."""
    from cicimage.simulation.spec import HostSpec

    return HostSpec(mottle=0.0)


def draw_states():
    """The same five states as surfaces, and through two lenses."""
    figure, axes = plt.subplots(3, 5, figsize=(10, 4.6), sharex=True, sharey=True, layout="constrained")
    middle = round(CENTRE / 0.5)
    for column, (name, who) in zip(axes.T, SCENES.items(), strict=True):
        layers = scene([host(lamella=1.8)], [who])
        sheet, body = layers.sheets[0], layers.bodies[0]
        x = np.arange(sheet.window[1].start, sheet.window[1].stop) * 0.5 - CENTRE
        row = middle - sheet.window[0].start
        column[0].fill_between(x, sheet.bottom[row], sheet.top[row], color="#8fce8f", lw=0)
        turn = np.linspace(0, 2 * np.pi, 100)
        a, _, c = body.pose.axes
        column[0].fill(a * np.cos(turn), body.z + c * np.sin(turn), color="#d05ad0")
        column[0].set_title(name, fontsize=9)
        for axis, na in zip(column[1:], (0.95, 0.45), strict=True):
            made, heights = rendered(layers, na=na)
            cut = made[:2, :, middle - PAD]
            picture = np.zeros((*cut.shape[1:], 3))
            for channel, colour in zip(cut, COLOURS[3], strict=False):
                picture += np.clip(channel / (0.6 * channel.max() + 1e-9), 0, 1)[..., None] * np.array(colour)
            side = cut.shape[2] * 0.5 / 2
            axis.imshow(np.clip(picture, 0, 1)[::-1], extent=(-side, side, heights[0], heights[-1]), aspect="auto")
        column[0].set(xlim=(-16, 16), ylim=(-3, 13))
    for axis, label in zip(axes[:, 0], ("surfaces", "40x/0.95 confocal", "20x/0.45 confocal"), strict=True):
        axis.set_ylabel(f"{label}\nheight, µm", fontsize=8)
    save(figure, "states")


def draw_evidence():
    """Axial profiles of the host dye through the guest, and floor contrast against NA."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    middle = round(CENTRE / 0.5) - PAD
    for name, colour in (("on top", "C0"), ("under", "C1"), ("inside", "C2")):
        layers = scene([host(lamella=1.8)], [SCENES[name]])
        for na, style in ((0.95, "-"), (0.45, ":")):
            made, heights = rendered(layers, na=na)
            profile = made[0, :, middle, middle]
            left.plot(heights - layers.bodies[0].z, profile, style, color=colour, label=f"{name}, NA {na}")
    left.set(xlabel="height above the guest's centre, µm", ylabel="host dye on the guest's axis")
    left.legend(fontsize=7)
    lenses = [
        (0.2, "air"),
        (0.3, "air"),
        (0.45, "air"),
        (0.6, "air"),
        (0.8, "air"),
        (0.95, "air"),
        (1.2, "water"),
        (1.4, "oil"),
    ]
    for psf, marker in (("gaussian", "o-"), ("born_wolf", "s--")):
        contrast = []
        for na, immersion in lenses:
            level = []
            for name in ("inside", "under"):
                layers = scene([host(lamella=1.8)], [SCENES[name]])
                made, heights = rendered(layers, na=na, immersion=immersion, psf=psf)
                body = layers.bodies[0]
                beside = made[0, :, middle, middle - 34].max()
                level.append(np.interp(body.z - body.pose.axes[2] - 0.4, heights, made[0, :, middle, middle]) / beside)
            contrast.append(level[0] - level[1])
        right.plot(
            [na for na, _ in lenses],
            contrast,
            marker,
            label=psf.replace("_", " and ").replace("born", "Born").replace("wolf", "Wolf"),
        )
    right.set(xlabel="numerical aperture", ylabel="host light below the guest:\ninside minus under", ylim=(0, None))
    right.legend(fontsize=8)
    save(figure, "evidence")


def draw_mechanisms():
    """What the other presets look like."""
    shown = ["held-out-shape", "held-out-label", "held-out-psf", "hard", "homotypic", "widefield-20x-0.45"]
    figure, axes = plt.subplots(2, 3, figsize=(7.5, 5.2), layout="constrained")
    for axis, name in zip(axes.flat, shown, strict=True):
        preset = PRESETS[name]
        field = simulate_field(
            preset.replace(acquisition__frames=16), 5, preset.conditions[-1 if name == "homotypic" else 1].name
        )
        frame = field.frame(15)
        z = 3 if frame.shape[1] > 1 else 0
        axis.imshow(coloured(frame[:, z], peaks_of(frame)))
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    save(figure, "mechanisms")


def real_effectors():
    """Sizes (um), mean dye, unevenness of dye within hand-outlined lymphocytes; None where the data are absent."""
    if REAL is None:
        return None
    base = Path(REAL) / "celldetective_adcc" / "adcc"
    labels = tifffile.imread(next(p for p in (base / "labels_effectors").iterdir() if p.suffix == ".tif")).astype(int)
    dye = tifffile.imread(next((base / "images").glob("*.tif")))[2].astype(float)
    floor = float(np.median(dye[labels == 0]))
    sizes, means, uneven = [], [], []
    for label in np.unique(labels)[1:]:
        inside = labels == label
        sizes.append(0.3112 * 2 * np.sqrt(inside.sum() / np.pi))
        means.append(dye[inside].mean() - floor)
        core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=4).astype(bool)
        if core.sum() > 40 and means[-1] > 1000:
            uneven.append(dye[core].std() / (dye[core].mean() - floor))
    return np.array(sizes), np.array(means), np.array(uneven)


def draw_comparison():
    """Simulated against real: sizes, dye between and within guests, noise, speeds."""
    scenario = PRESETS["cxcr4-blockade"]
    field = simulate_field(scenario.replace(acquisition__frames=31), 3, "BTKi")
    truth, frame, real = field.guests, field.frame(0), real_effectors()
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    first = truth[(truth["frame"] == 0) & ~truth["touches_border"]]
    bins = np.arange(3, 14, 0.75)
    axes[0, 0].hist(2 * np.sqrt(first["area_um2"] / np.pi), bins, density=True, alpha=0.6, label="simulated")
    axes[0, 0].set(xlabel="diameter of guests, µm", ylabel="density")
    dye = np.array([g.brightness for g in field.history.guests])
    axes[0, 1].hist(np.log(dye / np.median(dye)), np.arange(-3.5, 1.5, 0.2), density=True, alpha=0.6, label="simulated")
    axes[0, 1].set(xlabel="dye per guest, log of ratio to the median")
    uneven = within_guests(frame, first, field)
    axes[0, 2].hist(uneven, np.arange(0, 0.4, 0.025), density=True, alpha=0.6, label="simulated")
    axes[0, 2].set(xlabel="dye within a guest, SD / mean")
    if real is not None:
        sizes, means, spread = real
        axes[0, 0].hist(sizes, bins, density=True, histtype="step", color="k", label="lymphocytes, hand masks")
        axes[0, 1].hist(np.log(np.maximum(means, 1) / np.median(means)), np.arange(-3.5, 1.5, 0.2), density=True,
                        histtype="step", color="k", label="CFSE, same cells")  # fmt: skip
        axes[0, 2].hist(
            spread, np.arange(0, 0.4, 0.025), density=True, histtype="step", color="k", label="CFSE, same cells"
        )
    draw_noise(axes[1, 0], frame, scenario.acquisition)
    draw_speeds(axes[1, 1], truth, field)
    draw_residence(axes[1, 2])
    for axis in axes.flat:
        axis.legend(fontsize=7)
        axis.tick_params(labelsize=8)
    save(figure, "comparison")


def within_guests(frame, rows, field):
    """SD over mean of the dye in the cores of guests apart from others, photon noise taken out."""
    a, out = field.scenario.acquisition, []
    for _, row in rows.iterrows():
        apart = np.hypot(rows["y_um"] - row["y_um"], rows["x_um"] - row["x_um"])
        if (apart < 12).sum() > 1:
            continue
        y, x = row["y_um"] / a.um_per_px, row["x_um"] / a.um_per_px
        z = int(np.clip(round(row["z_um"] / a.um_per_z), 0, a.slices - 1))
        yy, xx = np.mgrid[: a.size_px, : a.size_px]
        core = np.hypot(yy - y, xx - x) * a.um_per_px < 0.6 * row["diameter_um"] / 2
        electrons = (frame[1, z][core] - a.offset) / a.counts_per_electron
        excess = electrons.var() - electrons.mean() - a.read_noise_e**2
        out.append(np.sqrt(max(excess, 0.0)) / max(electrons.mean(), 1e-9))
    return out


def photon_transfer(image, edges):
    """Noise SD of diagonal differences by local level."""
    d = (image[1:, 1:] - image[:-1, 1:] - image[1:, :-1] + image[:-1, :-1]) / 2
    level = cv2.blur(image, (9, 9))[1:, 1:]
    rows = []
    for low, high in pairwise(edges):
        here = (level >= low) & (level < high)
        if here.sum() > 300:
            rows.append((level[here].mean(), np.median(np.abs(d[here])) / 0.6745))
    return np.array(rows)


def draw_noise(axis, frame, acquisition):
    """Noise against signal, both in units of their own camera's background noise."""
    image = frame[0, 3].astype(np.float32)
    made = photon_transfer(image, np.geomspace(100, 400, 14))
    electrons = (made[:, 0] - acquisition.offset) / acquisition.counts_per_electron
    axis.loglog(np.maximum(electrons, 0.3), made[:, 1] / acquisition.counts_per_electron, "o", label="simulated host")
    line = np.geomspace(0.3, 20000, 50)
    axis.loglog(line, np.hypot(np.sqrt(line), acquisition.read_noise_e), "C0:", lw=1, label="photon + read noise")
    if REAL is not None:
        dye = tifffile.imread(next((Path(REAL) / "celldetective_adcc" / "adcc" / "images").glob("*.tif")))[2]
        rows = photon_transfer(dye.astype(np.float32), np.geomspace(110, 9000, 12))
        gain = 0.3  # counts per electron, from the slope of variance on mean at the bright end
        axis.loglog((rows[:, 0] - 105) / gain, rows[:, 1] / gain, "k^", mfc="none", label="CFSE, registered images")
    axis.set(xlabel="signal, electrons", ylabel="noise SD, electrons")


def draw_speeds(axis, truth, field):
    """Speeds between frames, by place."""
    minutes = field.scenario.acquisition.interval_min
    drift = field.drift_um[truth["frame"].to_numpy()]
    table = truth.assign(y=truth["y_um"] - drift[:, 0], x=truth["x_um"] - drift[:, 1]).sort_values(
        ["guest_id", "frame"]
    )
    step = table.groupby("guest_id")[["y", "x", "frame"]].diff()
    speed = np.hypot(step["y"], step["x"]) / minutes
    moved = step["frame"] == 1
    for place, names in (("outside", ("free", "attached")), ("inside", ("inside",))):
        chosen = speed[moved & table["location"].isin(names)]
        axis.hist(
            chosen, np.arange(0, 5, 0.2), density=True, alpha=0.6, label=f"{place}, between frames of {minutes:g} min"
        )
    axis.axvspan(0, 0.7, color="0.85", zorder=0, label="hosts: ≤ 0.7 µm/min")
    axis.set(xlabel="speed, µm/min", xlim=(0, 5))


def draw_residence(axis):
    """Stays of guests that came in and went out, in a long movie."""
    scenario = PRESETS["null-equal-hazards"].replace(
        rates__stay_h=2.0, rates__entry_per_contact_h=0.5, acquisition__frames=120, acquisition__size_px=256,
        rates__death_per_h=0.0,
    )  # fmt: skip
    events = simulate_field(scenario, 1).events
    left = events[events["end_reason"].eq("escape") & events["entry_h"].notna()]
    axis.hist(
        60 * (left["end_h"] - left["entry_h"]), np.geomspace(5, 1200, 25), alpha=0.6, label="simulated stays (mean 2 h)"
    )
    axis.axvspan(5, 10, color="0.85", zorder=0, label="known: under 10 or over 60 min")
    axis.axvspan(60, 1200, color="0.85", zorder=0)
    axis.set(xscale="log", xlabel="time inside, min", ylabel="stays")


if __name__ == "__main__":
    mpl.use("Agg")
    cv2.setNumThreads(1)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    HERE.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["field", "states", "evidence", "mechanisms", "comparison"]
    for name in wanted:
        globals()[f"draw_{name}"]()
