"""Options of the limits on what one recording may take, the same for every command that opens many."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

import click

from cicimage.guard import Limits


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; :func:`limits_of` takes their values.

    Parameters
    ----------
    command : callable
        Function that becomes the command.
    """
    for option in (
        click.option(
            "--stall-timeout", type=click.FloatRange(min=0), default=None, metavar="S",
            help="Longest time without progress while a recording is worked on, s [default: 900]; 0: no limit.",
        ),
        click.option(
            "--opening-memory", type=click.FloatRange(min=0), default=None, metavar="MIB",
            help="Most memory for opening one recording, MiB [default: 2048]; 0: no limit.",
        ),
        click.option(
            "--opening-timeout", type=click.FloatRange(min=0), default=None, metavar="S",
            help="Longest time for opening one recording, s [default: 60]; 0: no limit.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def limits_of(options: MutableMapping[str, Any]) -> Limits:
    """Limits that the options set; those left out come from the environment.

    Parameters
    ----------
    options : mapping
        Values of the options by name; those of the limits are taken out.

    Raises
    ------
    ConfigurationError
        A variable of the environment is not a number from 0 on.
    """
    opening_s, mib, stall_s = (options.pop(n) for n in ("opening_timeout", "opening_memory", "stall_timeout"))
    found = Limits.of_environment()
    if opening_s is not None:
        found = replace(found, opening_s=opening_s)
    if mib is not None:
        found = replace(found, opening_bytes=int(mib * 2**20))
    return found if stall_s is None else replace(found, stall_s=stall_s)
