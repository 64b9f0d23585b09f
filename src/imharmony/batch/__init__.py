"""Many pictures: folders, manifests, and as many processes as there are cores."""

from imharmony.batch.jobs import Job, Outcome, Settings
from imharmony.batch.many import harmonize_many

__all__ = ["Job", "Outcome", "Settings", "harmonize_many"]
