"""What tests of several rooms ask for. Properties are not timed: a machine that does much else is no defect."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.fakes.use_cases.server import certificates, dial, fakes, local, server

__all__ = ["certificates", "dial", "fakes", "local", "server"]

settings.register_profile("thorough", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)  # `make unit`
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "thorough"))


@pytest.fixture(autouse=True, scope="package")
def quiet() -> Iterator[None]:
    """Let nothing be logged: the errors that tests provoke, with their tracebacks, took seconds to be made pretty."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def logs() -> Iterator[list[structlog.typing.EventDict]]:
    """All that is logged from here on, for tests that are about it."""
    before = structlog.get_config()
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.configure(**before)
