"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import cicimage.statistics

MODULES = [m.name for m in pkgutil.iter_modules(cicimage.statistics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"cicimage.statistics.{name}")
    assert doctest.testmod(module, extraglobs={"pd": __import__("pandas")}).failed == 0
