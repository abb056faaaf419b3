"""The only place that knows the order of the steps."""

from cicimage.pipeline.position import Job, run_position

__all__ = ["Job", "run_position"]
