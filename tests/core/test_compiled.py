"""Half a file in the compiler's cache costs one compilation, and no run."""

import importlib.util
import sys

import numpy as np
import pytest

SOURCE = """
from cicimage.compiled import compiled

@compiled()
def total(values):
    out = 0.0
    for v in values:
        out += v
    return out
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load the module anew, as another process would."""
    path = tmp_path / "loop_of_a_test.py"
    path.write_text(SOURCE)

    def anew():
        spec = importlib.util.spec_from_file_location("loop_of_a_test", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "loop_of_a_test", module)
        spec.loader.exec_module(module)
        return module.total

    return anew


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_torn_cache_is_made_anew(load, tmp_path, ending, share):
    first = load()
    assert first(np.arange(4.0)) == 6
    (torn,) = (tmp_path / "__pycache__").glob(f"*.{ending}")
    torn.write_bytes(torn.read_bytes()[: int(share * torn.stat().st_size)])
    second = load()
    assert second(np.arange(4.0)) == 6
    assert sum(second.stats.cache_misses.values()) == 1, "it was compiled again"
    third = load()
    assert third(np.arange(4.0)) == 6
    assert sum(third.stats.cache_hits.values()) == 1, "the cache works again"


def test_a_cache_of_garbage_is_made_anew(load, tmp_path):
    assert load()(np.arange(4.0)) == 6
    for file in (tmp_path / "__pycache__").glob("*.nb?"):
        file.write_bytes(b"garbage " * 50)
    assert load()(np.arange(4.0)) == 6
