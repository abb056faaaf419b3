"""`cicimage plan`: power of the next experiment."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from cicimage.cli.echo import echo
from cicimage.errors import ConfigurationError, ResultsError
from cicimage.estimands import ENTRY_RATE
from cicimage.figures.power import power, power_alt
from cicimage.statistics.planning import DEFAULT_SD, Variation, estimate_variation, power_table
from cicimage.store import Results, read_json, read_table, write_text


def _numbers(text: str, what: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found:
        raise ConfigurationError(f"--{what} must be numbers with commas between them, got {text!r}; e.g. 3,4,6")
    return found


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--rates", type=float, default=None, metavar="PER_H", help="Reference rate per guest-hour, without OUT.")
@click.option("--ratio", type=float, default=0.5, show_default=True, help="Effect to be found, treated over reference.")
@click.option("--guests", type=float, default=100.0, show_default=True, help="Guests at risk per well, with --rates.")
@click.option("--estimand", default=ENTRY_RATE, show_default=True, help="Rate of OUT to plan for.")
@click.option("--reference", default=None, metavar="CONDITION", help="Condition of OUT whose rate is the base.")
@click.option("--donors", default="3,4,6,8,10", show_default=True, help="Numbers of donors to try.")
@click.option("--wells", default="1,2,4", show_default=True, help="Wells per donor and condition to try.")
@click.option("--hours", default="24,48", show_default=True, help="Hours of movie to try.")
@click.option("--sd-donor", type=float, default=None, help="SD of the log rate between donors.")
@click.option("--sd-interaction", type=float, default=None, help="SD of donor x condition, each condition.")
@click.option("--sd-well", type=float, default=None, help="SD of the log rate between wells.")
@click.option("--sims", type=click.IntRange(50), default=400, show_default=True, help="Simulated experiments a design.")
@click.option("-o", "folder", type=click.Path(path_type=Path), default=None, help="Folder for plan.csv and plan.svg.")
def plan(
    out: Path | None,
    rates: float | None,
    ratio: float,
    guests: float,
    estimand: str,
    reference: str | None,
    donors: str,
    wells: str,
    hours: str,
    sd_donor: float | None,
    sd_interaction: float | None,
    sd_well: float | None,
    sims: int,
    folder: Path | None,
) -> None:
    """Power of the next experiment in donors, wells and hours, from results OUT or from --rates.

    \f

    Parameters
    ----------
    out : Path or None
        Results folder from which rate and variation are estimated.
    rates : float or None
        Reference rate, entries per guest-hour, where there is no results folder.
    ratio : float
        Rate under treatment over the reference rate that is to be detected.
    guests : float
        Guests at risk per well, with ``rates``.
    estimand : str
        Rate of the results to plan for.
    reference : str or None
        Reference condition; None takes that of the run, else the first one.
    donors, wells, hours : str
        Designs to try, as numbers with commas between them: donors, wells per donor and condition, hours of movie.
    sd_donor, sd_interaction, sd_well : float or None
        SD of the log rate between donors, of donor x condition, and between wells; None takes the estimate or default.
    sims : int
        Simulated experiments per design.
    folder : Path or None
        Folder of ``plan.csv`` and ``plan.svg``; None takes the results folder, and without one nothing is written.

    Raises
    ------
    ConfigurationError
        Both or neither of ``out`` and ``rates``, or a value that is no number or not above 0.
    ResultsError
        The results folder is not finished.
    """  # noqa: D301 - the form feed ends the text of --help
    if (out is None) == (rates is None):
        raise ConfigurationError("plan needs either a results folder or --rates, got both or neither; name one")
    base = _from_results(out, estimand, reference) if out is not None else Variation(float(rates or 0.0), guests)
    if base.rate_per_h <= 0:
        raise ConfigurationError(f"--rates must be above 0, got {base.rate_per_h}; give entries per guest-hour")
    given = {"sd_donor": sd_donor, "sd_interaction": sd_interaction, "sd_well": sd_well}
    said = {k: v for k, v in given.items() if v is not None}
    if said:
        note = f"{base.note}; given: " + ", ".join(f"{k} {v:g}" for k, v in said.items())
        base = Variation(**{**vars(base), **said, "note": note})
    table = power_table(
        base, ratio, donors=[int(d) for d in _numbers(donors, "donors")],
        wells=[int(w) for w in _numbers(wells, "wells")], hours=_numbers(hours, "hours"), sims=sims,
    )  # fmt: skip
    _print(base, table, ratio)
    target = folder or out
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        write_text(target / "plan.csv", table.to_csv(index=False, lineterminator="\n"))
        write_text(target / "plan.svg", power(table, ratio).svg())
        echo(f"table and figure: {target / 'plan.csv'}, {target / 'plan.svg'}")


def _from_results(out: Path, estimand: str, reference: str | None) -> Variation:
    results = Results(out)
    if not results.run.exists() or not results.table("rates_by_replicate").exists():
        raise ResultsError(
            f"{out}: must be a finished results folder, has no run.json or rates; name the folder of `cicimage run -o`"
        )
    run = read_json(results.run)
    rates = read_table(results.table("rates_by_replicate"), "rates_by_replicate")
    frames = read_table(results.table("frames"), "frames")
    movie_h = float((frames.groupby("position")["time_h"].max() - frames.groupby("position")["time_h"].min()).median())
    rows = []
    for position, entry in run["design"].items():
        design = {k: v for k, v in entry.items() if k not in ("factors", "path")}
        rows.append({"position": position, **design, **entry.get("factors", {})})
    chosen = reference or run["configuration"]["experiment"]["reference"] or rates["condition"].iloc[0]
    return estimate_variation(rates, pd.DataFrame(rows), str(chosen), movie_h, estimand)


def _print(base: Variation, table: pd.DataFrame, ratio: float) -> None:
    echo(
        f"reference rate {base.rate_per_h:.3g} per guest-hour, {base.hours_at_risk_per_well_h:.3g} guests at risk per "
        f"well; SD of the log rate: donors {base.sd_donor:.2f}, donor x condition {base.sd_interaction:.2f}, wells "
        f"{base.sd_well:.2f}"
    )
    echo(base.note + f" (defaults: {', '.join(f'{k} {v}' for k, v in DEFAULT_SD.items())})")
    echo(f"power to find a ratio of {ratio:g} at p < 0.05; cautious: spread between donors at its upper limit")
    echo("donors  wells  hours  power  cautious  events per donor")
    for row in table.itertuples(index=False):
        echo(
            f"{row.donors:6d} {row.wells:6d} {row.hours:6g} {100 * float(str(row.power)):5.0f}% "
            f"{100 * float(str(row.power_cautious)):8.0f}%  {float(str(row.events_reference)):.3g} against "
            f"{float(str(row.events_treated)):.3g}"
        )
    echo(power_alt(table, ratio))
