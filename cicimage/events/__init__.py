"""Evidence over time turned into location, viability and cell-in-cell events."""
