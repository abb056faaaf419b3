"""Segmentation: accuracy against the simulator's truth, and time per frame against decoding and one blur.

Accuracy: the first and last frame of fields of several presets, default options, diameters as a user would state
them (6-12 um guests, 50-150 um hosts), raw frames without preprocessing. A guest is found where a centroid lies within
half a diameter of it, in 3D in z as well. A host is
found at an intersection over union of 0.5 with its true mask, overlaps included. The naive way beside it: projection,
Otsu threshold, distance watershed.

Time: a 1024 x 1024 frame with 300 guests, processor time of one thread, the best of several; the floor is one OpenCV
Gaussian (sigma 2) of the plane and its decoding from zlib. scikit-image's usual way stands beside it.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.feature import blob_log, peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops_table
from skimage.segmentation import watershed

from cicimage.masks import Masks
from cicimage.methods import Scene
from cicimage.segmentation.guests import LogGuestSegmenter
from cicimage.segmentation.hosts import ThresholdHostSegmenter
from cicimage.simulation.field import SimulatedField, simulate_field
from cicimage.simulation.scenarios import PRESETS

PRESET_NAMES: Final = (
    "sample", "cxcr4-blockade", "hard", "widefield-20x-0.45", "confocal-20x-0.8", "confocal-63x-1.4", "held-out-psf",
    "held-out-shape",
)  # fmt: skip
GUEST_UM, HOST_UM = (6.0, 12.0), (50.0, 150.0)
FIRST_SEED: Final = 101

Found = tuple[npt.NDArray[np.float64], Masks]


def naive(image: npt.NDArray[np.float32], um_per_px: float, smallest_um: float) -> Masks:
    """Projection, Otsu, distance watershed: what a first script does."""
    plane = gaussian(image.max(axis=0), 0.1 * smallest_um / um_per_px)
    mask = plane > threshold_otsu(plane)
    distance = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(
        distance, min_distance=max(1, int(0.4 * smallest_um / um_per_px)), labels=ndimage.label(mask)[0]
    )
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return Masks.from_labels(watershed(-distance, markers, mask=mask))


def guests_found(centres: npt.NDArray[np.float64], truth: pd.DataFrame, in_3d: bool) -> npt.NDArray[np.float64]:
    """Error in z (NaN in 2D) of every guest found, one per true positive."""
    radius = truth.diameter_um.to_numpy() / 2
    flat = np.hypot(
        centres[:, 1, None] - truth.y_um.to_numpy()[None], centres[:, 2, None] - truth.x_um.to_numpy()[None]
    )
    distance = flat / radius[None]
    if in_3d:
        distance = np.maximum(distance, np.abs(centres[:, 0, None] - truth.z_um.to_numpy()[None]) / radius[None])
    i, j = linear_sum_assignment(np.minimum(distance, 1.0))
    hit = distance[i, j] < 1.0
    return np.asarray(centres[i[hit], 0] - truth.z_um.to_numpy()[j[hit]])


def hosts_found(masks: Masks, truth: Masks) -> int:
    """True positives at an intersection over union of 0.5."""
    iou = np.zeros((len(masks), len(truth)))
    for i, mask in enumerate(masks):
        frame = np.zeros(masks.shape, bool)
        frame[mask.window] = mask.pixels
        for j, other in enumerate(truth):
            both = np.count_nonzero(frame[other.window] & other.pixels)
            iou[i, j] = both / (mask.area_px + other.area_px - both)
    i, j = linear_sum_assignment(-iou)
    return int((iou[i, j] >= 0.5).sum())


def accuracy(name: str, seeds: range, frames: int = 12) -> dict[str, object]:
    """Counts over the fields of one preset."""
    total = dict.fromkeys(
        ("guests", "tp", "found", "naive_tp", "naive_found", "hosts", "h_tp", "h_found", "n_tp", "n_found"), 0
    )
    errors: list[float] = []
    for seed in seeds:
        scenario = PRESETS[name].replace(acquisition__frames=frames)
        conditions = [c.name for c in scenario.conditions]
        field = simulate_field(scenario, seed, conditions[min(1, len(conditions) - 1)])
        for frame in (0, frames - 1):
            errors += score_frame(field, frame, total)
    f1 = {k: 2 * total[a] / max(1, total[b] + total[c]) for k, a, b, c in (
        ("guest F1", "tp", "found", "guests"), ("naive guest F1", "naive_tp", "naive_found", "guests"),
        ("host F1", "h_tp", "h_found", "hosts"), ("naive host F1", "n_tp", "n_found", "hosts"),
    )}  # fmt: skip
    z = np.abs(errors)
    known = bool(np.isfinite(z).any())
    return {
        "preset": name, "guests": total["guests"], "guest F1": f1["guest F1"],
        "precision": total["tp"] / max(1, total["found"]), "recall": total["tp"] / max(1, total["guests"]),
        "naive guest F1": f1["naive guest F1"],
        "z error um, median": float(np.median(z)) if known else np.nan,
        "z error um, 95 %": float(np.percentile(z, 95)) if known else np.nan,
        "hosts": total["hosts"], "host F1": f1["host F1"], "naive host F1": f1["naive host F1"],
    }  # fmt: skip


def score_frame(field: SimulatedField, frame: int, total: dict[str, int]) -> list[float]:
    """Add one frame to the counts; return the errors in z."""
    a = field.scenario.acquisition
    image = field.frame(frame).astype(np.float32)
    um_per_z = a.um_per_z if a.slices > 1 else None
    truth, masks = field.guests_in(frame), field.masks_in(frame)
    guests = LogGuestSegmenter().segment(Scene(image[1], a.um_per_px, um_per_z, GUEST_UM))
    hosts = ThresholdHostSegmenter().segment(Scene(image[0], a.um_per_px, um_per_z, HOST_UM, inner=guests.masks))
    plain = naive(image[1], a.um_per_px, GUEST_UM[0])
    errors = guests_found(centres(guests.masks, guests.z_um, a.um_per_px), truth, um_per_z is not None)
    blind = guests_found(centres(plain, np.full(len(plain), np.nan), a.um_per_px), truth, False)
    plain_hosts = naive(image[0], a.um_per_px, HOST_UM[0])
    for key, value in (
        ("guests", len(truth)), ("tp", len(errors)), ("found", len(guests.masks)), ("naive_tp", len(blind)),
        ("naive_found", len(plain)), ("hosts", len(masks["host"])), ("h_tp", hosts_found(hosts.masks, masks["host"])),
        ("h_found", len(hosts.masks)), ("n_tp", hosts_found(plain_hosts, masks["host"])), ("n_found", len(plain_hosts)),
    ):  # fmt: skip
        total[key] += value
    return errors.tolist()


def centres(masks: Masks, z_um: npt.NDArray[np.float64], um_per_px: float) -> npt.NDArray[np.float64]:
    """Centroids (z, y, x), um."""
    flat = np.array([m.centroid_px() for m in masks]).reshape(-1, 2) * um_per_px
    return np.column_stack([z_um, flat])


def crowded_plane(
    um_per_px: float = 0.65, size: int = 1024, guests: int = 300, seed: int = 1
) -> tuple[npt.NDArray[np.float32], ...]:
    """Guests and hosts of one 2D frame, for the clock alone."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    host = np.zeros((size, size), np.float32)
    for y, x in rng.uniform(0, size, (40, 2)):
        host = np.maximum(host, 250 * np.exp(-((((yy - y) / 80) ** 2 + ((xx - x) / 50) ** 2) ** 2)))
    guest = np.zeros((size, size), np.float32)
    for y, x in rng.uniform(0, size, (guests, 2)):
        radius, level = rng.uniform(3, 4.5) / um_per_px, rng.uniform(150, 900)
        window = np.s_[max(0, int(y) - 12) : int(y) + 13, max(0, int(x) - 12) : int(x) + 13]
        guest[window] += level / (1 + np.exp((np.hypot(yy[window] - y, xx[window] - x) - radius) * 2))
    return tuple((rng.poisson(p + 20) + rng.normal(100, 2, p.shape)).astype(np.float32) for p in (guest, host))


def seconds(job: Callable[[], object], repeats: int = 7) -> float:
    """Least processor time of a job after one warm-up."""
    job()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        job()
        best = min(best, time.process_time() - start)
    return best


def scikit_image_guests(plane: npt.NDArray[np.float32], um_per_px: float) -> object:
    """blob_log over the same diameters, seeded watershed, regionprops_table."""
    low, high = (d / np.sqrt(8) / um_per_px for d in (0.8 * GUEST_UM[0], 0.95 * GUEST_UM[1]))
    level = threshold_otsu(plane)
    blobs = blob_log(plane / plane.max(), min_sigma=low, max_sigma=high, num_sigma=4, threshold=0.02)
    markers = np.zeros(plane.shape, int)
    markers[blobs[:, 0].astype(int), blobs[:, 1].astype(int)] = np.arange(1, len(blobs) + 1)
    labels = watershed(-plane, markers, mask=plane > level)
    return regionprops_table(labels, plane, properties=("label", "centroid", "area", "mean_intensity"))


def speed(um_per_px: float = 0.65) -> pd.DataFrame:
    """Milliseconds per frame and the ratio to the floor."""
    cv2.setNumThreads(1)
    guest, host = crowded_plane(um_per_px)
    packed = zlib.compress(guest.astype(np.uint16).tobytes(), 6)

    def least() -> object:
        plane = np.frombuffer(zlib.decompress(packed), np.uint16).reshape(guest.shape).astype(np.float32)
        return cv2.GaussianBlur(plane, (0, 0), 2)

    g, h = LogGuestSegmenter(), ThresholdHostSegmenter()
    guest_scene = Scene(guest[None], um_per_px, None, GUEST_UM)
    inner = g.segment(guest_scene).masks
    host_scene = Scene(host[None], um_per_px, None, HOST_UM, inner=inner)
    floor = seconds(least)
    rows = [
        ("floor: decode and blur one plane", floor),
        (f"guests ({len(inner)} found)", seconds(lambda: g.segment(guest_scene))),
        (f"hosts ({len(h.segment(host_scene).masks)} found)", seconds(lambda: h.segment(host_scene))),
        ("guests, scikit-image", seconds(lambda: scikit_image_guests(guest, um_per_px), 2)),
        ("hosts, scikit-image", seconds(lambda: naive(host[None], um_per_px, HOST_UM[0]), 2)),
    ]
    return pd.DataFrame({
        "part": [r[0] for r in rows], "ms": [r[1] * 1e3 for r in rows], "over the floor": [r[1] / floor for r in rows],
    })  # fmt: skip


def table(rows: pd.DataFrame) -> str:
    """Render as Markdown."""
    cells = rows.map(lambda v: "" if v != v else f"{v:.3g}" if isinstance(v, float) else str(v))
    lines = ["| " + " | ".join(rows.columns) + " |", "|" + "---|" * len(rows.columns)]
    return "\n".join([*lines, *("| " + " | ".join(r) + " |" for r in cells.to_numpy())]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=3, help="fields per preset")
    parser.add_argument("--presets", nargs="*", default=list(PRESET_NAMES))
    options = parser.parse_args()
    clock = table(speed())
    print(clock, flush=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.fields)
    scores = table(pd.DataFrame([accuracy(name, seeds) for name in options.presets]))
    print(scores)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    head = f"# Segmentation\n\n{__doc__}\nSeeds {seeds.start}-{seeds.stop - 1}; tuning used others.\n\n"
    (results / "segmentation.md").write_text(head + clock + "\n" + scores)


if __name__ == "__main__":
    main()
