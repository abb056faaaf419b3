"""Many positions: one subprocess each, locks, receipts, resume."""
