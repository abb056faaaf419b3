"""Many positions: one subprocess each, locks, receipts, resume."""

from cicimage.batch.plan import Batch, Plan, open_batch
from cicimage.batch.supervisor import Outcome, run_batch

__all__ = ["Batch", "Outcome", "Plan", "open_batch", "run_batch"]
