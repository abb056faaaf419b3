"""Crops of a made-up event: a ball that goes into a sheet, in noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from made_up_experiment import FRAME_H, N_FRAMES

from cicimage.crops import GUEST, HOST, EventCrops, Outline, choose_frames


def make_crops(
    event: dict | pd.Series, seed: int = 0, three_d: bool = True, px: int = 88, n_slices: int = 12
) -> EventCrops:
    """Crops of one event: a ball that goes into a sheet, in noise."""
    rng = np.random.default_rng(seed)
    frames = choose_frames(
        [event["start_frame"], event["entry_after_frame"], event["entry_frame"], event["end_frame"]], N_FRAMES
    )
    n, um = len(frames), 0.36
    zz, yy, xx = np.mgrid[0:n_slices, 0:px, 0:px].astype(np.float32)
    volume = np.empty((n, 3, n_slices, px, px), np.float32)
    outlines, locations, viability, z_range = [], [], [], np.full((n, 2), np.nan, np.float32)
    cuts = np.empty((n, 2), np.float32)
    entry = event["entry_frame"]
    for i, frame in enumerate(frames):
        inside = entry == entry and entry <= frame <= event["end_frame"]
        entering = not inside and event["start_frame"] <= frame <= event["end_frame"]
        dead = event["score"] == "dying" and frame >= event["end_frame"]
        near = "attached" if abs(frame - event["start_frame"]) < 3 else "free"
        locations.append("inside" if inside else "entering" if entering else near)
        viability.append("dead" if dead else "alive")
        cx = px / 2 + (0 if inside else 6 if entering else 22)
        cuts[i] = (px / 2, min(cx, px - 1))
        z0 = 5.0 if inside else 7.0
        r_px, r_z = 3.8 / um, 3.8
        ball = ((yy - px / 2) ** 2 + (xx - cx) ** 2) / r_px**2 + (zz - z0) ** 2 / r_z**2 < 1
        thick = 2.5 + 5.0 * np.exp(-((xx - px / 2) ** 2 + (yy - px / 2) ** 2) / (2 * (px / 3) ** 2))
        sheet = (zz > 0.5) & (zz < 0.5 + thick) & (np.abs(xx - px / 2 + 8 * np.sin(yy / 17)) < px * 0.43)
        volume[i, 0] = np.where(sheet & ~ball, 160, 8)
        volume[i, 1] = np.where(ball, 200, 5)
        volume[i, 2] = np.where(ball & dead, 220, 4)
        z_range[i] = (z0 - r_z, z0 + r_z)
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        outlines.append(
            Outline(
                i, GUEST, np.stack([px / 2 + r_px * np.sin(angle), cx + r_px * np.cos(angle)], 1).astype(np.float32)
            )
        )
        ys = np.linspace(0, px - 1, 40)
        left = px / 2 - 8 * np.sin(ys / 17) - px * 0.43
        right = left + 2 * px * 0.43
        ring = np.concatenate([np.stack([ys, left], 1), np.stack([ys[::-1], right[::-1]], 1)]).astype(np.float32)
        outlines.append(Outline(i, HOST, np.clip(ring, 0, px - 1)))
    blurred = _blur(volume)
    noisy = np.clip(rng.poisson(blurred * 1.2) / 1.2 + rng.normal(10, 3, volume.shape), 0, 255).astype(np.uint8)
    return EventCrops(
        xy=noisy[:, :, 5] if three_d else noisy.max(axis=2),
        frames=np.asarray(frames, np.int64),
        time_h=np.asarray(frames) * FRAME_H,
        roles=("host", "guest", "death"),
        um_per_px=um,
        location=tuple(locations),
        viability=tuple(viability),
        xz=noisy[:, :, :, px // 2] if three_d else None,
        yz=np.stack([noisy[i, :, :, :, int(cuts[i, 1])] for i in range(n)]) if three_d else None,
        cut_px=cuts if three_d else None,
        um_per_z=1.0 if three_d else None,
        limits=np.asarray([[14, 175], [14, 215], [14, 200]], np.float32),
        guest_z_um=z_range if three_d else None,
        outlines=tuple(outlines),
    )


def _blur(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.stack([[gaussian_filter(v, (0.9, 1.2, 1.2)) for v in panel] for panel in volume])
