"""What users would do without cicimage, scored by the same evaluation.

``naive`` is the script most begin with: threshold, ``trackpy.locate`` and ``trackpy.link`` on projections, and a
guest that overlaps the host mask in three consecutive frames is inside. ``competent`` has good masks and tracks (those
of a cicimage run) and the right idea: a guest whose footprint lies in a host and whose z-centroid lies between the
host's bottom and top there is inside.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from skimage.filters import threshold_otsu

from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.evaluate import Evaluation, evaluate
from cicimage.evaluation.load import load_results, load_truth
from cicimage.evaluation.sides import EVENT_COLUMNS, Measured, Truth
from cicimage.mask_store import MaskFile
from cicimage.masks import Mask
from cicimage.pipeline.setting import Setting
from cicimage.recording import Recording, open_recording
from cicimage.statistics.comparisons import compare
from cicimage.statistics.rates import compute_rates
from cicimage.store import Results, read_json, read_table

PERSISTENCE_FRAMES = 3
_HOST_LEVEL = 0.2
"""Share of the profile's range that is host: of 0.5, 0.35 and 0.2 the best for this baseline (seed 5)."""


def naive(recording: Recording, host: int, guest: int, um_per_px: float) -> pd.DataFrame:
    """Guests located and linked by trackpy on maximum projections; ``touching`` where the host mask covers them."""
    import trackpy

    trackpy.quiet()
    diameter = round(8.0 / um_per_px) // 2 * 2 + 1
    found, covers = [], []
    for t in range(recording.sizes["T"]):
        frame = recording.frame(t, [host, guest]).max(axis=1).astype(np.float32)
        covers.append(frame[0] > threshold_otsu(frame[0]))
        level = threshold_otsu(frame[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # trackpy warns of frames in which it sees nothing
            spots = trackpy.locate(np.where(frame[1] > level, frame[1], 0), diameter)
        found.append(spots.assign(frame=t))
    spots = pd.concat(found, ignore_index=True)
    linked = link_spots(spots, 15.0 / um_per_px)
    y, x = linked["y"].round().astype(int), linked["x"].round().astype(int)
    linked["touching"] = [covers[f][i, j] for f, i, j in zip(linked["frame"], y, x, strict=True)]
    return pd.DataFrame(
        {
            "frame": linked["frame"], "guest_id": linked["particle"] + 1, "y_um": linked["y"] * um_per_px,
            "x_um": linked["x"] * um_per_px, "z_um": np.nan, "touching": linked["touching"],
            "candidate": linked["touching"], "host_id": linked["touching"].astype(int),
        }
    )  # fmt: skip


def link_spots(spots: pd.DataFrame, search_px: float) -> pd.DataFrame:
    """Link, with a smaller and smaller range where too many compete, as its users do."""
    import trackpy

    for _ in range(6):
        try:
            return trackpy.link(spots, search_px, memory=2).sort_index()
        except trackpy.SubnetOversizeException:
            search_px *= 0.75
    raise RuntimeError(f"trackpy cannot link with a search range of {search_px:.1f} px")


def competent(
    recording: Recording, results: Results, key: str, host: int, um_per_px: float, um_per_z: float,
    names: tuple[str, str] = ("guest", "host"),
) -> pd.DataFrame:  # fmt: skip
    """Good masks and tracks; inside is a z-centroid between the host's bottom and top over its footprint.

    ``host`` is the hosts' channel, ``names`` are the populations of guests and hosts.
    """
    cells = read_table(results.position(key).table("cells"))
    file = MaskFile(results.position(key).masks)
    rows = []
    seen = cells[cells["observed"]]
    guest_name, host_name = names
    holders = seen[seen["population"] == host_name]
    for t, guests in seen[seen["population"] == guest_name].groupby("frame"):
        t = int(t)
        stack = cv2_smooth(recording.frame(t, [host])[0].astype(np.float32))
        hosts = list(file.masks(t, host_name))
        ids = holders.loc[holders["frame"] == t].set_index("label")["cell_id"].to_dict()
        masks = {m.label: m for m in file.masks(t, guest_name)}
        for guest in guests.itertuples():
            others = [h for h in hosts if guest_name != host_name or h.label != guest.label]
            held, share = _holder(masks[guest.label], others)
            between = False
            if held is not None and share >= 0.5 and np.isfinite(guest.z_um):
                bottom, top = _host_range_um(stack, masks[guest.label], um_per_z)
                between = bottom <= guest.z_um <= top
            rows.append(
                {
                    "frame": t, "guest_id": guest.cell_id, "y_um": guest.y_um, "x_um": guest.x_um, "z_um": guest.z_um,
                    "touching": share > 0, "candidate": between, "host_id": ids.get(held.label, 0) if held else 0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def cv2_smooth(stack: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in stack])


def _holder(guest: Mask, hosts: list[Mask]) -> tuple[Mask | None, float]:
    """The host that covers most of a guest's footprint, and that share."""
    best, most = None, 0.0
    for host in hosts:
        y, x = guest.y0 - host.y0, guest.x0 - host.x0
        h, w = guest.pixels.shape
        cut = host.pixels[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
        own = guest.pixels[max(-y, 0) : max(-y, 0) + cut.shape[0], max(-x, 0) : max(-x, 0) + cut.shape[1]]
        share = float((cut & own).sum() / guest.area_px) if own.shape == cut.shape else 0.0
        if share > most:
            best, most = host, share
    return best, most


def _host_range_um(stack: np.ndarray, guest: Mask, um_per_z: float) -> tuple[float, float]:
    """Bottom and top of the host's signal over the guest's footprint, um above the first slice."""
    profile = stack[:, guest.window[0], guest.window[1]][:, guest.pixels].mean(axis=1)
    above = np.flatnonzero(profile - profile.min() >= _HOST_LEVEL * (profile.max() - profile.min()))
    return float(above[0] * um_per_z), float(above[-1] * um_per_z)


def as_measured(calls: dict[str, pd.DataFrame], like: Measured, clock_h: dict[str, np.ndarray]) -> Measured:
    """Per-frame calls as the tables of a run: a run of three candidates is a stay, shorter ones are none."""
    frames, events = [], []
    for position, rows in calls.items():
        rows = rows.sort_values(["guest_id", "frame"]).reset_index(drop=True)
        rows["inside"] = False
        for guest, own in rows.groupby("guest_id"):
            for first, last in _stays(own["candidate"].to_numpy(bool)):
                rows.loc[own.index[first : last + 1], "inside"] = True
                events.append(_event(position, int(guest), own, first, last, clock_h[position]))
        rows["location"] = np.where(rows["inside"], "inside", np.where(rows["touching"], "attached", "free"))
        contact = np.where(rows["location"] == "attached", "unresolved", "none")
        frames.append(
            rows.assign(position=position, contact=contact, area_um2=np.nan, viability="unknown", parent_id=0)
        )
    truth = Truth(
        pd.concat(frames, ignore_index=True), pd.DataFrame(events, columns=list(EVENT_COLUMNS)),
        pd.DataFrame({"position": [], "frame": [], "host_id": [], "viability": []}), pd.DataFrame(), clock_h,
    )  # fmt: skip
    tables = truth_tables(truth, like.layout)
    tables["hosts"] = like.tables["hosts"]
    rates, by_replicate = compute_rates(
        tables["events"], tables["guests"], tables["hosts"], tables["frames"], like.layout
    )
    comparisons = compare(by_replicate, like.reference, like.layout) if like.reference else like.tables["comparisons"]
    tables |= {"rates": rates, "rates_by_replicate": by_replicate, "comparisons": comparisons}
    return replace(like, tables=tables)


def _stays(candidate: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], candidate.astype(int), [0]])))
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first >= PERSISTENCE_FRAMES:
            yield first, end - 1


def _event(position: str, guest: int, own: pd.DataFrame, first: int, last: int, clock: np.ndarray) -> dict[str, object]:
    frame = own["frame"].to_numpy()
    prevalent, ends = first == 0, last == len(own) - 1
    entry = clock[frame[first]] if prevalent else (clock[frame[first]] + clock[frame[first - 1]]) / 2
    end = "escape" if not ends else "movie_end" if frame[last] == len(clock) - 1 else "track_lost"
    return {
        "position": position, "guest_id": guest, "host_id": int(own["host_id"].iloc[first]), "start_h": entry,
        "entry_h": np.nan if prevalent else entry, "end_h": clock[frame[last]], "end_reason": end, "score": "surviving",
        "excluded_reason": "", "prevalent": prevalent, "in_view": True,
    }  # fmt: skip


def compare_methods(out: Path, truth_folder: Path) -> dict[str, Evaluation]:
    """Evaluate a run and both baselines on its recordings."""
    measured, truth, results = load_results(out), load_truth(truth_folder), Results(out)
    run = read_json(results.run)
    calls: dict[str, dict[str, pd.DataFrame]] = {"naive": {}, "competent": {}}
    for position in measured.layout["position"]:
        with open_recording(run["design"][position]["path"]) as recording:
            key = run["positions"][position]
            setting = Setting.from_dict(read_json(results.position(key).root / "setting.json"))
            host, guest = setting.with_role("host"), setting.with_role("guest")
            um, um_z = float(recording.metadata.um_per_px or 1), float(recording.metadata.um_per_z or 1)
            # Where guests wear the hosts' stain, who uses trackpy locates nuclei.
            spots = setting.channel_of.get(f"{guest}/nucleus", setting.channel_of[guest])
            spots = spots if guest == host else setting.channel_of[guest]
            calls["naive"][position] = naive(recording, setting.channel_of[host], spots, um)
            if recording.sizes["Z"] > 1:
                calls["competent"][position] = competent(
                    recording, results, key, setting.channel_of[host], um, um_z, (guest, host)
                )
    evaluations = {"cicimage": evaluate(measured, truth)}
    for name, made in calls.items():
        if made:
            evaluations[name] = evaluate(as_measured(made, measured, dict(truth.clock_h)), truth)
    return evaluations
