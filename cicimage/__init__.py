"""cicimage: cell-in-cell events in live-cell recordings, from folders of movies to rates per condition."""

__version__ = "0.1.0"
