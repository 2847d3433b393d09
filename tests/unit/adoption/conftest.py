"""Tests of this folder run on hosts in this process."""

from tests.hosts.fixtures import host, quick_path, threadless, threads

__all__ = ["host", "quick_path", "threadless", "threads"]
