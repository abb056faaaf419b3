"""Called against true locations: confusion, errors per decoy class, and the effect of abstention.

Frames of guests that both sides see. A frame is *truly inside* where the guest lies in a host and is not dead and
was not dead before it went in; it is *called inside* where the results say so of a guest they do not hold dead.
Frames of guests that died inside count on neither side. ``unresolved`` is a miss in recall.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

CLASSES: Final = ("free", "lateral", "on_top", "under", "between", "entering", "inside")
DECOYS: Final = (
    "free", "lateral", "on_top", "under", "under_two", "between", "fold", "cluster", "floater", "dead_floater",
    "dead_host", "dead_eaten", "entering", "host",
)  # fmt: skip


def label_states(compared: pd.DataFrame) -> pd.DataFrame:
    """Add what the measures need to the table of :func:`~cicimage.evaluation.matching.compare_frames`.

    Returns
    -------
    pandas.DataFrame
        ``compared`` with ``both`` (seen on both sides), ``class_true`` and ``class`` (location, or contact of attached
        ones), ``kind`` (decoy class of a frame that is not truly inside), ``inside_true``, ``inside``, ``judged``
        (counts in measures of inside).
    """
    out = compared.copy()
    out["both"] = (out["guest_id"] > 0) & (out["guest_id_true"] > 0)
    out["class_true"] = _class(out["location_true"], out["contact_true"])
    out["class"] = _class(out["location"], out["contact"])
    eaten = out["decoy_true"] == "dead_eaten"
    in_host = out["location_true"] == "inside"
    dead = out["viability_true"] == "dead"
    out["inside_true"] = in_host & ~dead & ~eaten
    out["inside"] = (out["location"] == "inside") & (out["viability"] != "dead")
    out["judged"] = out["both"] & ~(in_host & dead & ~eaten)
    named = (out["decoy_true"] != "") & (out["class_true"] != "entering")
    kind = out["decoy_true"].where(named, out["class_true"])
    out["kind"] = kind.where(~out["inside_true"], "inside")
    return out


def _class(location: pd.Series, contact: pd.Series) -> pd.Series:
    known = contact.isin(["on_top", "under", "lateral", "between"])
    return location.where((location != "attached") | ~known, contact)


def confusion(states: pd.DataFrame) -> pd.DataFrame:
    """Frames by true and called class, long: truth, called, frames, share (of the truth's frames).

    ``missed`` are frames in which the results do not see the guest, ``nothing`` ones in which the truth has none.
    Guests cut by the frame's border that the results leave out do not count as missed.
    """
    seen = states[states["both"] | (states["guest_id"] > 0) | ~states["touches_border_true"]]
    truth = seen["class_true"].where(seen["guest_id_true"] > 0, "nothing")
    called = seen["class"].where(seen["guest_id"] > 0, "missed")
    counts = pd.crosstab(truth, called)
    rows = [c for c in (*CLASSES, "nothing") if c in counts.index]
    columns = [c for c in (*CLASSES, "attached", "unresolved", "missed") if c in counts.columns]
    long = counts.loc[rows, columns].stack().reset_index()
    long.columns = pd.Index(["truth", "called", "frames"])
    long["share"] = long["frames"] / long.groupby("truth")["frames"].transform("sum")
    return long


def precision_recall(found: float, wrong: float, missed: float) -> dict[str, float]:
    """Compute precision, recall and F1 of counts.

    Parameters
    ----------
    found, wrong, missed : float
        True positives, false positives and false negatives.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1``; NaN where the denominator is 0.
    """
    return {
        "precision": found / (found + wrong) if found + wrong else float("nan"),
        "recall": found / (found + missed) if found + missed else float("nan"),
        "f1": 2 * found / (2 * found + wrong + missed) if found + wrong + missed else float("nan"),
    }


def inside_counts(states: pd.DataFrame) -> dict[str, float]:
    """Count frames of inside: found, wrong, missed (another call or ``unresolved``) and rightly not called."""
    judged = states[states["judged"]]
    yes, called = judged["inside_true"].to_numpy(bool), judged["inside"].to_numpy(bool)
    return {
        "found": float((yes & called).sum()), "wrong": float((~yes & called).sum()),
        "missed": float((yes & ~called).sum()), "right_no": float((~yes & ~called).sum()),
    }  # fmt: skip


def by_decoy(states: pd.DataFrame) -> pd.DataFrame:
    """Count how often each class of guests that are not inside was called inside.

    Returns
    -------
    pandas.DataFrame
        Per class: frames, called_inside, share, unresolved (share), and ``precision`` and ``f1`` of inside if these
        were the only frames that are not inside; ``recall`` is that of inside throughout.
    """
    judged = states[states["judged"]]
    total = inside_counts(states)
    rows: list[dict[str, Any]] = []
    for kind in DECOYS:
        here = judged[judged["kind"] == kind]
        if not len(here):
            continue
        wrong = float(here["inside"].sum())
        scores = precision_recall(total["found"], wrong, total["missed"])
        rows.append(
            {
                "decoy": kind, "frames": len(here), "guests": here.groupby(["position", "guest_id_true"]).ngroups,
                "called_inside": int(wrong), "share": wrong / len(here),
                "unresolved": float((here["location"] == "unresolved").mean()), **scores,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def false_guests(states: pd.DataFrame, decoys: pd.DataFrame, max_distance_um: float) -> pd.DataFrame:
    """Count the results' guests that match no true guest, by what lies there.

    Parameters
    ----------
    states : pandas.DataFrame
        Table of :func:`label_states`.
    decoys : pandas.DataFrame
        Position, frame, kind, y_um and x_um of things that are no guests; may be empty.
    max_distance_um : float
        Farthest distance between a guest and the decoy it is attributed to, um.

    Returns
    -------
    pandas.DataFrame
        Per kind (vacuole, droplet, debris, effector, or ``nothing``): frames (guest-frames that are none),
        called_inside, and present (object-frames of that kind in the truth; empty for ``nothing``).
    """
    false = states[(states["guest_id"] > 0) & (states["guest_id_true"] == 0) & states["observed"]].copy()
    false["kind"] = "nothing"
    if len(decoys) and len(false):
        near = false.reset_index()[["index", "position", "frame", "y_um", "x_um"]].merge(
            decoys[["position", "frame", "kind", "y_um", "x_um"]], on=["position", "frame"], suffixes=("", "_decoy")
        )
        near["away"] = np.hypot(near["y_um"] - near["y_um_decoy"], near["x_um"] - near["x_um_decoy"])
        near = near[near["away"] <= max_distance_um].sort_values("away").drop_duplicates("index")
        false.loc[near["index"], "kind"] = near["kind"].to_numpy()
    counts = false.groupby("kind").agg(frames=("inside", "size"), called_inside=("inside", "sum"))
    present = decoys["kind"].value_counts() if len(decoys) else pd.Series(dtype=float)
    names = [*sorted(set(present.index)), "nothing"]
    out = counts.reindex(names, fill_value=0)
    out["present"] = present.reindex(names)
    return out.rename_axis("kind").reset_index()


def unresolved(states: pd.DataFrame) -> pd.DataFrame:
    """Compute the share of living guests' frames left unresolved, and of those inside, by condition and over all."""
    living = states[states["both"] & (states["viability_true"] != "dead")]
    rows = []
    for condition, part in [("all", living), *living.groupby("condition")]:
        open_ = part[part["location"] == "unresolved"]
        rows.append(
            {
                "condition": str(condition), "frames": len(part), "unresolved": len(open_),
                "share": len(open_) / len(part) if len(part) else float("nan"),
                "truly_inside": float(open_["inside_true"].mean()) if len(open_) else float("nan"),
                "inside_unresolved": float((part.loc[part["inside_true"], "location"] == "unresolved").mean()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def risk_coverage(states: pd.DataFrame, points: int = 20) -> pd.DataFrame:
    """Compute precision and recall against coverage when the least certain frames are left undecided.

    Frames are taken in the order of their certainty, ``max(p_inside, 1 - p_inside)``, and called inside where
    ``p_inside`` is 0.5 or more.

    Parameters
    ----------
    states : pandas.DataFrame
        Table of :func:`label_states`.
    points : int
        Number of coverages, evenly spaced up to 1.

    Returns
    -------
    pandas.DataFrame
        Per coverage: share of frames judged, certainty of the last of them, precision, recall and F1 of inside among
        them, and ``recall_of_all`` (over all frames truly inside, the undecided ones counted as missed).
    """
    judged = states[states["judged"] & states["p_inside"].notna()]
    p, yes = judged["p_inside"].to_numpy(np.float64), judged["inside_true"].to_numpy(bool)
    if not len(p):
        return pd.DataFrame()
    certain = np.maximum(p, 1 - p)
    order = np.argsort(-certain, kind="stable")
    p, yes, certain = p[order], yes[order], certain[order]
    rows = []
    for coverage in np.linspace(1 / points, 1.0, points):
        n = max(round(coverage * len(p)), 1)
        called = p[:n] >= 0.5
        found, wrong = float((called & yes[:n]).sum()), float((called & ~yes[:n]).sum())
        scores = precision_recall(found, wrong, float((~called & yes[:n]).sum()))
        all_inside = float(yes.sum())
        recall = found / all_inside if all_inside else float("nan")
        rows.append({"coverage": n / len(p), "certainty": float(certain[n - 1]), **scores, "recall_of_all": recall})
    return pd.DataFrame(rows)


def reweighted_ppv(counts: dict[str, float], prevalences: tuple[float, ...]) -> pd.DataFrame:
    """Compute the precision (positive predictive value) at other prevalences by Bayes' rule.

    Sensitivity and specificity are taken as they were measured.

    Parameters
    ----------
    counts : dict of str to float
        Frames by outcome, as :func:`inside_counts` returns them.
    prevalences : tuple of float
        Shares of frames truly inside, 0-1.

    Returns
    -------
    pandas.DataFrame
        prevalence, sensitivity, specificity, ppv, as_seen_here; one row per prevalence, and last the prevalence of the
        counts themselves.

    Examples
    --------
    At 2 % prevalence, 90 % sensitivity and 99 % specificity two calls of three are right:

    >>> table = reweighted_ppv({"found": 90, "missed": 10, "wrong": 10, "right_no": 990}, (0.02,))
    >>> round(float(table["ppv"].iloc[0]), 2)
    0.65
    """
    yes, no = counts["found"] + counts["missed"], counts["wrong"] + counts["right_no"]
    sensitivity = counts["found"] / yes if yes else float("nan")
    specificity = counts["right_no"] / no if no else float("nan")
    rows = []
    for prevalence in (*prevalences, yes / (yes + no) if yes + no else float("nan")):
        right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
        ppv = right / (right + wrong) if right + wrong else float("nan")
        rows.append({"prevalence": prevalence, "sensitivity": sensitivity, "specificity": specificity, "ppv": ppv})
    out = pd.DataFrame(rows)
    out["as_seen_here"] = [False] * len(prevalences) + [True]
    return out
