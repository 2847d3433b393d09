"""What tests of several rooms ask for. Properties are not timed: a machine that does much else is no defect."""

import os

from hypothesis import settings

from tests.fakes.use_cases.server import certificates, dial, fakes, local, server

__all__ = ["certificates", "dial", "fakes", "local", "server"]

settings.register_profile("thorough", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)  # `make unit`
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "thorough"))
