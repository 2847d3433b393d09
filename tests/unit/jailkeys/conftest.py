"""Tests of this folder run on hosts in this process."""

from tests.fakes.use_cases.server import fakes, local
from tests.hosts.fixtures import host, quick_path, threadless, threads

__all__ = ["fakes", "host", "local", "quick_path", "threadless", "threads"]
