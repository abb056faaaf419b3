"""Every exit code of the program is listed by `cicimage --help` and by the README, with the same words."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import cicimage
from cicimage.batch.supervisor import Outcome
from cicimage.cli import EXIT_CODES, main
from cicimage.errors import CicimageError

README = Path(__file__).parents[2] / "README.md"


def kinds_of(error):
    return {error} | {k for s in error.__subclasses__() for k in kinds_of(s)}


def codes_of_errors():
    for module in pkgutil.walk_packages(cicimage.__path__, "cicimage."):
        importlib.import_module(module.name)
    return {k.exit_code for k in kinds_of(CicimageError) if k.__module__.startswith("cicimage")}


def codes_of_runs():
    one, other = ("a",), ("b",)
    some = [Outcome(one, (), ()), Outcome(one, other, ()), Outcome((), other, ()), Outcome(one, (), other)]
    return {o.exit_code for o in (*some, Outcome(one, (), other, disk_full=True))}


def test_every_exit_code_is_listed():
    # 1 is what Python gives for a fault of the program, 130 what a shell gives for Ctrl-C
    assert codes_of_errors() | codes_of_runs() | {1, 130} == set(EXIT_CODES)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_exit_codes(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main([option])
    assert ended.value.code == 0
    listed = capsys.readouterr().out.partition("Exit codes:")[2]
    found = {int(code): meaning for code, meaning in re.findall(r"^  (\d+) +(.+)$", listed, re.MULTILINE)}
    assert found == EXIT_CODES


def test_the_readme_says_the_same():
    listed = re.search(r"^Exit codes: (.+?)\.$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    found = dict(entry.split(" ", 1) for entry in " ".join(listed.split()).split("; "))
    assert {int(code): meaning for code, meaning in found.items()} == EXIT_CODES


def test_values_of_the_command_line_are_checked_like_those_of_the_file(tmp_path, capsys):
    from tests.conftest import draw_movie, write_movie

    movie = draw_movie([(60, 60, 30)], [(60, 60, 4)], frames=2)
    write_movie(tmp_path / "recordings" / "vehicle" / "w1_f1.ome.tif", movie)
    with pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "recordings"), "-o", str(tmp_path / "out"), "--host", "Guest", "--guest", "Guest"])
    assert end.value.code == 2
    assert "command line: channels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_reference_that_is_no_condition_is_refused_by_report(tmp_path, capsys):
    from tests.review.small_world import world, write_results

    results = write_results(tmp_path / "out", {"A1_f1": world()})
    with pytest.raises(SystemExit) as end:
        main(["report", str(results.root), "--reference", "vehicel"])
    assert end.value.code == 2
    assert (
        "--reference 'vehicel': must be a condition of the experiment; did you mean 'vehicle'"
        in capsys.readouterr().err
    )
