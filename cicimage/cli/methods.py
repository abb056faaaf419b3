"""`cicimage methods`: what is installed for each step with its options, and for reading recordings."""

from __future__ import annotations

import json
from typing import Any

import click

from cicimage.cli.echo import echo
from cicimage.experiment.schema import DEFAULT_METHODS, SWITCHABLE
from cicimage.methods import STEPS, Method, available
from cicimage.recording.reader_registry import broken_readers, installed_readers


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the options' JSON schemas.")
def methods(as_json: bool) -> None:
    """List segmenters, trackers, scorers found (built-in and installed), with their options, and the readers."""
    if as_json:
        schemas = {
            step: {name: entry.load().model_json_schema() for name, entry in available(step).items()} for step in STEPS
        }
        echo(json.dumps(schemas, indent=1))
        return
    for step in STEPS:
        off = ' ("none" switches it off)' if step in SWITCHABLE else ""
        echo(f"{step}{off}")
        for name, entry in available(step).items():
            cls: type[Method] = entry.load()
            default = " [default]" if DEFAULT_METHODS[step].method == name else ""
            echo(f"  {name}{default}: {_first_line(cls)}")
            for option, field in cls.model_fields.items():
                echo(f"      {option} = {_shown(field.default)}: {field.description or ''}".rstrip(": "))

    echo("readers, in the order in which they are asked")
    for one in installed_readers():
        endings = ", ".join((*one.reader.suffixes, *one.reader.folder_suffixes))
        echo(
            f"  {one.reader.name} ({one.package}): {_first_line(type(one.reader))}"
            + (f" [{endings}]" if endings else "")
            + ("" if one.reader.installed() else " [its library is not installed]")
        )
    for sentence in broken_readers():
        echo(f"  {sentence}")


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)
