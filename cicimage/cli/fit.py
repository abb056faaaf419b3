"""`cicimage fit`: the scorer's parameters, re-fitted from reviewed frames."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cicimage.cli.echo import echo
from cicimage.errors import ConfigurationError, counted
from cicimage.version import __version__


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "-o", "--to", type=click.Path(path_type=Path), default=Path("scorer.toml"), show_default=True,
    help="Parameter file to write.",
)  # fmt: skip
@click.option(
    "--corrections",
    metavar="WHOSE",
    default=None,
    help="Reviewer or 'adjudicated' [default: the adjudicated ones, else the only reviewer's].",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def fit(out: Path, to: Path, corrections: str | None, force: bool) -> None:
    """Re-fit the Markov scorer from the reviewed frames of results folder OUT, cross-validated over guests.

    \f

    Parameters
    ----------
    out : Path
        Results folder.
    to : Path
        Parameter file to write; written only where the fit is better on guests left out.
    corrections : str or None
        Reviewer or ``adjudicated``; None takes the adjudicated ones, else those of the only reviewer.
    force : bool
        Overwrite the file.

    Raises
    ------
    ConfigurationError
        The file exists already, or there is no such reviewer.
    CicimageError
        Too few guests are reviewed, or OUT is no results folder.
    """  # noqa: D301 - the form feed ends the text of --help
    from dataclasses import replace

    from cicimage.events.parameters import load_parameters, write_parameters
    from cicimage.experiment import ExperimentFile
    from cicimage.review.refit import fit_reviewed
    from cicimage.review.results import corrected
    from cicimage.store import existing_results, read_json, write_text

    results = existing_results(out)
    if to.exists() and not force:
        raise ConfigurationError(f"{to}: is there already; name another file with -o, or write over it with --force")
    score = ExperimentFile.model_validate(read_json(results.run)["configuration"]).choices()["score"]
    laid = corrected(results, corrections)
    done = fit_reviewed(results, laid, load_parameters(str(score.options.get("parameters") or "")))
    for name, step in done.steps.items():
        echo(
            f"{name}: {counted(step.n_frames, 'reviewed frame')} of "
            f"{counted(step.n_guests, 'guest')}; log loss of inside on guests left out "
            f"{step.log_loss_before:.3f} -> {step.log_loss_after:.3f}; "
            + (f"corrected, trust {step.trust:.2f}" if step.accepted else "no gain, left as it was")
        )
    if not done.accepted:
        echo("nothing written: the parameters in use fit these reviews as well as corrected ones would")
        return
    provenance = {
        **done.parameters.provenance,
        "refit_from": f"{out.resolve().name}, corrections of {laid.whose}",
        "refit_on": f"{datetime.now(UTC):%Y-%m-%d}, cicimage {__version__}",
    }
    write_text(to, write_parameters(replace(done.parameters, provenance=provenance)))
    echo(f"written: {to}; to use it, put it beside experiment.toml and say there:")
    echo(f'[methods]\nscore = {{ method = "markov", parameters = "{to.name}" }}')
