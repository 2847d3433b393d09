"""An interrupted demo ends, wherever the signal finds it."""

from __future__ import annotations

import os
import signal
import threading
import weakref

import pytest

from tests.demo.interrupts import Interrupts


class _Watched:
    pass


def test_a_signal_in_a_callback_that_swallows_it_interrupts_after_it() -> None:
    kept = [_Watched()]
    reference = weakref.ref(kept[0], lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        _wait_without(kept)
    assert reference() is None


def _wait_without(kept: list[_Watched]) -> None:
    kept.clear()
    threading.Event().wait(20)
