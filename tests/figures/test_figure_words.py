"""Numbers and names as a reader meets them; the examples in the documentation run."""

from __future__ import annotations

import doctest
import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.estimands import ESTIMANDS
from cicimage.figures.style import condition_colours, plain, wrapped
from cicimage.figures.words import number, printable, short

MODULES = ("words", "style", "filmstrip", "curves", "flow", "quality", "superplot", "source")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_documentation(name):
    result = doctest.testmod(
        importlib.import_module(f"cicimage.figures.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0


@settings(deadline=None, max_examples=200)
@given(st.floats(0.001, 1e6))
def test_rounding_is_within_five_per_cent_and_without_exponents(value):
    shown = number(value)
    assert "e" not in shown
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.051)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=80))
def test_any_name_becomes_plain_text(name):
    text = printable(name)
    assert len(text) == len(name)
    assert not any(ord(c) < 32 for c in text)
    assert len(short(name)) <= 28
    # matplotlib takes text as mathematics where an even number of dollars stands unescaped.
    assert plain(name).replace(r"\$", "").count("$") == 0


def test_no_estimand_claims_a_cause():
    for words in ESTIMANDS:
        assert "protect" not in f"{words.title} {words.meaning} {words.shown_unit}".lower()


def test_colours_stay_apart_up_to_eight_conditions():
    names = [f"c{i}" for i in range(8)]
    assert len(set(condition_colours(names).values())) == 8


def test_long_names_break_at_a_blank():
    assert wrapped("ibrutinib + plerixafor", 12).count("\n") == 1
    assert wrapped("abcdefghijklmnop", 5) == "abcdefghijklmnop"
