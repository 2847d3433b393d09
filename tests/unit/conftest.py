"""Properties are not timed: a machine that does much else at the time is no defect."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
