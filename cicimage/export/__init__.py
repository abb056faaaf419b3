"""Results in the formats of other programs, written without further packages."""
