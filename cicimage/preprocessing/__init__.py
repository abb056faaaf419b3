"""Uneven illumination, stage drift, bleaching and bleed-through: estimates that can be looked at."""

from cicimage.preprocessing.correction import Corrections, sample_frames
from cicimage.preprocessing.quality import FrameQuality, flag_defocus, frame_quality

__all__ = ["Corrections", "FrameQuality", "flag_defocus", "frame_quality", "sample_frames"]
