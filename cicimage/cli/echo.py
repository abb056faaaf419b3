"""What commands print: names come from files that others made, and must not move the terminal."""

from __future__ import annotations

import click

from cicimage.errors import printable


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, control characters escaped.

    Parameters
    ----------
    text : str
        What is printed.
    err : bool
        Print to stderr.
    """
    click.echo(printable(text), err=err)
