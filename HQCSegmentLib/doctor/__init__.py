"""What this computer has for the work, what is missing, and what to do about it. Needs no package but the command's."""

from HQCSegmentLib.doctor.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
