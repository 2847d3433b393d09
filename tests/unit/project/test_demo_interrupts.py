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
    watched = _Watched()
    reference = weakref.ref(watched, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        del watched
        threading.Event().wait(20)
    assert reference() is None
