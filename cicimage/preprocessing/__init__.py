"""Uneven illumination, stage drift, bleaching and bleed-through: estimates that can be looked at."""
