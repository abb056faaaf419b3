"""The command line: one file per command, which parses, calls and prints."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import signal
import sys
import threading
from typing import Any, Final

import click

from cicimage.errors import CicimageError, nearest, printable
from cicimage.version import __version__

COMMANDS: Final = {
    "demo": "the main job on the sample data",
    "init": "look at a folder, propose an experiment file and layout",
    "check": "preflight: what fits, what does not, what a run will need",
    "run": "the main job; resumes by default",
    "status": "positions done, failed, waiting",
    "report": "rebuild tables, rates, comparisons and report.html",
    "review": "napari with the review queue open; agreement of reviewers",
    "fit": "re-fit the scorer from reviewed events",
    "simulate": "recordings with known truth",
    "evaluate": "accuracy of results against truth",
    "export": "results as GEFF, Cell Tracking Challenge, TrackMate, napari tracks or RO-Crate",
    "plan": "power of the next experiment",
    "methods": "segmenters, trackers, scorers found, with their options",
}

_GOES_ON: Final = "; finished positions are kept, run the same command again to go on"
INTERRUPTED: Final = {
    "run": _GOES_ON,
    "demo": _GOES_ON,
    "simulate": "; the folder is not complete, run the same command again to make it whole",
    "review": "; every decision taken is in the log",
    "report": "; tables of before and after may lie side by side, run the same command again",
}
"""State of the work after an interrupt, by command; other commands leave nothing unfinished."""

EXIT_CODES: Final = {
    0: "all well",
    1: "a fault of the program",
    2: "usage or configuration",
    3: "finished, some positions failed",
    4: "no position succeeded",
    5: "the folder is held by another run or belongs to other recordings",
    6: "disk full",
    130: "interrupted",
}


class _LazyGroup(click.Group):
    """Imports a command when it is asked for, so that `cicimage --help` loads no image library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # objects made by imports live until the process ends: the collector need not scan them
        gc.disable()
        module = importlib.import_module(f"cicimage.cli.{cmd_name}")
        gc.freeze()
        gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            raise click.UsageError(f"no command {name!r}; {nearest(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="cicimage")
def cicimage() -> None:
    """Cell-in-cell events in live-cell recordings: from folders of movies to engulfment rates per condition."""


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit with one of :data:`EXIT_CODES`, which ``cicimage --help`` lists.

    Parameters
    ----------
    args : list of str, optional
        Arguments without the program's name; those of the process by default.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a condition named in Greek must not end a run whose output goes to a file in the code page of Windows
        sys.stdout.reconfigure(errors="backslashreplace")
    _end_as_after_ctrl_c()
    try:
        code = cicimage.main(args=args, prog_name="cicimage", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        named = next((a for a in (sys.argv[1:] if args is None else args) if a in COMMANDS), "")
        _say(f"interrupted{INTERRUPTED.get(named, '')}")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except CicimageError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno == errno.ENOSPC:  # what it prints goes to a disk that is full
            _discard_stdout()
            _say("the disk is full; free some space and run the same command again")
            sys.exit(6)
        if error.filename is None:  # no file involved: a bug of the program, shown with its traceback
            raise
        _say(f"{error.filename}: cannot be used ({error.strerror}); check the path and that you may read and write it")
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _discard_stdout() -> None:
    """Let what could not be printed go, else it is tried again, and fails, when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_as_after_ctrl_c() -> None:
    """Make the end of a session, and a request to end, an interrupt: work in progress is left in order."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)


def _say(sentence: str) -> None:
    click.echo(printable(f"cicimage: {sentence}"), err=True)
