"""The Markov scorer's parameters: one readable file with its provenance, or a laboratory's own re-fit of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.errors import ConfigurationError, nearest
from cicimage.events.chain import Chain
from cicimage.events.emissions import CLASSES, DEPTHS, EmissionModel, EvidenceTable
from cicimage.regular import require_regular

SCHEMA_VERSION: Final = 2
MOST_BYTES: Final = 64 << 20
BUILT_IN: Final = "parameters.toml"
ONE_STAIN: Final = "one_stain.toml"
"""Regimes of populations that are guest and host in one stain: fitted apart, since little of them is known yet."""
SHARED: Final = "shared "
"""Before a stain: guests wear it as well as hosts."""
PHASES: Final = 6
"""Steps in which a host closes around a guest: so many make an entry's duration neither nil nor endless, and what a
cup looks like as it deepens tells how far the entry is."""
ROUTES: Final = ("top", "under")


def _state_classes() -> dict[str, tuple[str, ...]]:
    def cup(route: str, phase: int, of: int) -> str:
        return f"cup_{route}_{DEPTHS[min(int((phase - 0.5) / of * len(DEPTHS)), len(DEPTHS) - 1)]}"

    phases = range(1, PHASES + 1)
    return {
        **{name: (name,) for name in ("free", "lateral", "on_top", "under", "between")},
        **{f"entering_{r}_{k}": (cup(r, k, PHASES),) for r in ROUTES for k in phases},
        **{f"ebbing_{r}_{k}": (cup(r, k, PHASES),) for r in ROUTES for k in reversed(phases[:-1])},
        "inside_short": ("inside",), "inside_long": ("inside",),
        **{f"leaving_{k}": tuple(cup(r, k, 2) for r in ROUTES) for k in (2, 1)},
    }  # fmt: skip


STATE_CLASSES: Final[Mapping[str, tuple[str, ...]]] = _state_classes()
"""What each hidden state looks like: equal shares of these classes of evidence. An entry passes its phases one after
the other, or ebbs before it is complete; a stay is short or long."""
HELD: Final = tuple(c for c in CLASSES if c.startswith("cup") or c == "inside")
"""Classes in which a host holds the guest: which of them is a finer question than whether."""


@dataclass(frozen=True, eq=False)
class Regime:
    """Emissions fitted for one kind of optics.

    Attributes
    ----------
    name : str
        For the report.
    blur_um : float or None
        Axial blur it was fitted at (resolution and focus step together), um; None for 2D.
    stain : str
        What of the hosts their channel shows: cytosol | membrane | shared membrane.
    emissions : EmissionModel
        Tables.
    held_min : float
        Frames nearer in time than this repeat, in part, what tells whether a host that holds the guest is closed
        around it, minutes: each counts as its share. (Each table has its own such time besides.)
    sections : bool
        In 2D: one thin section of the cells (confocal), not all depths over each other (widefield).
    """

    name: str
    blur_um: float | None
    stain: str
    emissions: EmissionModel
    held_min: float
    sections: bool = False


@dataclass(frozen=True, eq=False)
class ScorerParameters:
    """Everything the Markov scorer learned: rates of the chain, emissions by optics, and where they come from."""

    chain: Chain
    regimes: tuple[Regime, ...]
    provenance: Mapping[str, Any]

    def regime_for(self, blur_um: float | None, stain: str = "cytosol", *, sections: bool = False) -> Regime:
        """Return the regime of the nearest axial blur (by ratio) for this stain; a 2D one where blur is None.

        Where none was fitted for the stain, the cytosol's stands in; where none has the dimension, any. In 2D a
        thin section has tables of its own.
        """
        same_depth = [r for r in self.regimes if (r.blur_um is None) == (blur_um is None)] or list(self.regimes)
        by_stain = ([r for r in same_depth if r.stain == s] for s in (stain, stain.removeprefix(SHARED), "cytosol"))
        fitting = next((found for found in by_stain if found), same_depth)
        if blur_um is None:
            return next((r for r in fitting if r.sections == sections), fitting[0])
        return min(fitting, key=lambda r: abs(float(np.log((r.blur_um or 1e3) / max(blur_um, 0.1)))))


def combined_blur_um(axial_fwhm_um: float, um_per_z: float) -> float:
    """Axial resolution and focus step as one blur, um (a step is a box, 0.6 of it in quadrature)."""
    return float(np.hypot(axial_fwhm_um, 0.6 * um_per_z))


@cache
def load_parameters(path: str = "") -> ScorerParameters:
    """Read a parameter file; the built-in one without a path.

    Raises
    ------
    ConfigurationError
        The file cannot be read, is of another schema or lacks a class or state.
    """
    if not path:
        found, further = (
            parse_parameters(files("cicimage.events").joinpath(name).read_text(encoding="utf-8"), name)
            for name in (BUILT_IN, ONE_STAIN)
        )
        return replace(
            found, regimes=(*found.regimes, *further.regimes), provenance={**found.provenance, **further.provenance}
        )
    require_regular(Path(path), ConfigurationError, most_bytes=MOST_BYTES)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"scorer parameters {path}: cannot be read ({error.strerror}); give a file") from None
    return parse_parameters(text, path)


def parse_parameters(text: str, source: str) -> ScorerParameters:
    """Parse the text of a parameter file; ``source`` names it in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"scorer parameters {source}: not valid TOML: {error}; write it anew") from None
    data = _migrated(data)
    if data.get("schema_version") != SCHEMA_VERSION:
        raise ConfigurationError(
            f"scorer parameters {source}: schema_version must be {SCHEMA_VERSION}, is {data.get('schema_version')}; "
            "re-fit with this version"
        )
    regimes = tuple(_regime(name, part, source) for name, part in data.get("regime", {}).items())
    if not regimes:
        raise ConfigurationError(f"scorer parameters {source}: needs at least one [regime.<name>], has none; re-fit")
    return ScorerParameters(_chain(data.get("chain", {}), source), regimes, data.get("provenance", {}))


def _migrated(data: dict[str, Any]) -> dict[str, Any]:
    """A file of schema 1, which knew one depth of cup: each depth looks like it, and the chain is the built-in one."""
    if data.get("schema_version") != 1:
        return data

    def split(values: Mapping[str, Any]) -> dict[str, Any]:
        old = {c: next((o for o in ("cup_top", "cup_under") if c.startswith(o)), c) for c in CLASSES}
        return {c: values[o] for c, o in old.items() if o in values}

    regimes = {
        name: {
            **part, "offset": split(part["offset"]),
            "evidence": {k: {**t, "log_odds": split(t["log_odds"])} for k, t in part.get("evidence", {}).items()},
        }
        for name, part in data.get("regime", {}).items()
    }  # fmt: skip
    built_in = tomllib.loads(files("cicimage.events").joinpath(BUILT_IN).read_text(encoding="utf-8"))
    return {**data, "schema_version": SCHEMA_VERSION, "regime": regimes, "chain": built_in["chain"]}


def _chain(part: Mapping[str, Any], source: str) -> Chain:
    states = tuple(STATE_CLASSES)
    generator, start = np.zeros((len(states), len(states))), np.zeros(len(states))
    for origin, targets in part.get("rates_per_h", {}).items():
        for target, rate in targets.items():
            generator[_state(origin, source), _state(target, source)] = float(rate)
    np.fill_diagonal(generator, -generator.sum(axis=1))
    for state, share in part.get("start", {}).items():
        start[_state(state, source)] = float(share)
    if start.sum() <= 0:
        raise ConfigurationError(f"scorer parameters {source}: [chain.start] must sum to more than 0; re-fit")
    return Chain(states, generator, start / start.sum())


def _state(name: str, source: str) -> int:
    if name not in STATE_CLASSES:
        raise ConfigurationError(
            f"scorer parameters {source}: state {name!r} is not known; {nearest(name, STATE_CLASSES)}"
        )
    return list(STATE_CLASSES).index(name)


def _regime(name: str, part: Mapping[str, Any], source: str) -> Regime:
    blur = part.get("blur_um")
    tables = []
    for evidence, table in part.get("evidence", {}).items():
        knots = np.asarray(table["knots"], dtype=np.float64)
        values = _by_class(table["log_odds"], f"{source}: [regime.{name}.evidence.{evidence}]")
        if values.shape[0] != len(knots):
            raise ConfigurationError(
                f"scorer parameters {source}: {evidence} has {len(knots)} knots and {values.shape[0]} values; "
                "give one value per knot and class"
            )
        scale, repeats = float(table.get("error_scale", 1.0)), float(table.get("repeats_min", 5.0))
        tables.append(EvidenceTable(evidence, knots, values, scale, repeats))
    offset = _by_class({k: [v] for k, v in part["offset"].items()}, f"{source}: [regime.{name}.offset]")[0]
    return Regime(
        name=name,
        blur_um=None if blur is None else float(blur),
        stain=str(part.get("stain", "cytosol")),
        emissions=EmissionModel(offset, tuple(tables)),
        held_min=float(part.get("held_min", 5.0)),
        sections=bool(part.get("sections", False)),
    )


def _by_class(values: Mapping[str, Any], where: str) -> Float64Array:
    missing = [c for c in CLASSES if c not in values]
    if missing:
        raise ConfigurationError(f"scorer parameters {where}: class {missing[0]!r} is missing; give all of {CLASSES}")
    return np.array([values[c] for c in CLASSES], dtype=np.float64).T


def write_parameters(parameters: ScorerParameters) -> str:
    """Return the parameters as the text of a parameter file."""
    lines = [f"schema_version = {SCHEMA_VERSION}", "", "[provenance]"]
    lines += [f"{key} = {_toml(value)}" for key, value in parameters.provenance.items()]
    chain = parameters.chain
    lines += ["", "[chain.start]"]
    lines += [f"{s} = {p:.4g}" for s, p in zip(chain.states, chain.start, strict=True)]
    lines += ["", "[chain.rates_per_h]"]
    for i, origin in enumerate(chain.states):
        rates = {s: chain.generator[i, j] for j, s in enumerate(chain.states) if j != i and chain.generator[i, j] > 0}
        lines.append(f"{origin} = {{ " + ", ".join(f"{s} = {r:.4g}" for s, r in rates.items()) + " }")
    for regime in parameters.regimes:
        lines += ["", f"[regime.{regime.name}]"]
        lines += [f"blur_um = {regime.blur_um:.3g}"] if regime.blur_um is not None else []
        lines += [f'stain = "{regime.stain}"']
        lines += ["sections = true"] if regime.sections else []
        lines += [
            f"held_min = {regime.held_min:.3g}",
            "",
            f"[regime.{regime.name}.offset]",
        ]
        lines += [f"{c} = {v:.3f}" for c, v in zip(CLASSES, regime.emissions.offset, strict=True)]
        for table in regime.emissions.tables:
            lines += ["", f"[regime.{regime.name}.evidence.{table.name}]"]
            lines += [f"knots = {_numbers(table.knots)}", f"error_scale = {table.error_scale:.3g}"]
            lines += [f"repeats_min = {table.repeats_min:.3g}"]
            lines += [f"log_odds.{c} = {_numbers(table.log_odds[:, k])}" for k, c in enumerate(CLASSES)]
    return "\n".join(lines) + "\n"


def _numbers(values: Float64Array) -> str:
    return "[" + ", ".join(f"{v:.3g}" for v in values) + "]"


def _toml(value: object) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
