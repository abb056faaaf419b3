"""Results in the formats of other programs, written with what the core brings: no further package is needed."""
