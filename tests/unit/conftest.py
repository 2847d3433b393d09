"""What tests of several rooms ask for. Properties are not timed: a machine that does much else is no defect."""

from hypothesis import settings

from tests.fakes.use_cases.server import certificates, dial, fakes, local, server

__all__ = ["certificates", "dial", "fakes", "local", "server"]

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
