"""Objects of single frames linked to cells over time."""
