"""Moving pictures: clips and sequences of frames, harmonized without flicker."""

from imharmony.video.harmonize import VideoReport, harmonize_video

__all__ = ["VideoReport", "harmonize_video"]
