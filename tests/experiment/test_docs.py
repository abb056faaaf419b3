"""The examples of docs/experiment.md are valid experiment files."""

import re
from pathlib import Path

import pytest

from cicimage.experiment import parse

TEXT = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_valid(block):
    assert set(parse(block).resolved_populations()) in ({"host", "guest"}, {"tumour", "t_cell"})
