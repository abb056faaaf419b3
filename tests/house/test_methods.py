"""Methods are found by entry points; a wrong name, option or class is said."""

from importlib.metadata import EntryPoint

import pytest

from cicimage import methods
from cicimage.errors import ConfigurationError
from cicimage.methods import available, build


def test_an_unknown_step_method_or_option_names_the_nearest():
    with pytest.raises(ConfigurationError, match="step 'segment_gest' is not known; did you mean 'segment_guest'"):
        available("segment_gest")
    with pytest.raises(ConfigurationError, match="method 'lag' is not installed; did you mean 'log'"):
        build("segment_guest", "lag")
    with pytest.raises(ConfigurationError, match="has no option 'persistance_min'; did you mean 'persistence_min'"):
        build("score", "hysteresis", {"persistance_min": 3})
    with pytest.raises(ConfigurationError, match=r"option 'persistence_min' = -1: .*greater than"):
        build("score", "hysteresis", {"persistence_min": -1})


def test_a_foreign_class_is_refused(monkeypatch):
    entry = EntryPoint("score.odd", "collections:OrderedDict", methods.ENTRY_POINT_GROUP)
    monkeypatch.setattr(methods, "available", lambda _: {"odd": entry})
    with pytest.raises(ConfigurationError, match="method 'odd' must subclass Scorer, OrderedDict does not"):
        build("score", "odd")
