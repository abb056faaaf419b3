"""Corrections: log, replay, queue, blinding, agreement. Knows no Qt."""
