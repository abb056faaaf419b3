"""One file per figure: functions of tables that return matplotlib figures with their words.

Every function takes its tables from anything that gives them by name, a dict of data frames or opened results, so
that a notebook calls what the report calls:

    cic.figures.superplot({"rates": rates, "rates_by_replicate": wells})
    cic.figures.superplot(cic.open_results("OUT"))
"""

from cicimage.crops import EventCrops, Outline, choose_frames, outlines_of
from cicimage.figures.death import death_inside_outside
from cicimage.figures.dose_response import dose_response
from cicimage.figures.filmstrip import Strip, filmstrip, to_jpeg
from cicimage.figures.flow import flow
from cicimage.figures.forest import forest
from cicimage.figures.incidence import incidence
from cicimage.figures.occupancy import occupancy
from cicimage.figures.picture import Picture
from cicimage.figures.quality import quality
from cicimage.figures.residence import residence
from cicimage.figures.superplot import superplot

__all__ = [
    "EventCrops", "Outline", "Picture", "Strip", "choose_frames", "death_inside_outside", "dose_response", "filmstrip",
    "flow", "forest", "incidence", "occupancy", "outlines_of", "quality", "residence", "superplot", "to_jpeg",
]  # fmt: skip
