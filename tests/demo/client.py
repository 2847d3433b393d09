"""A client that writes increasing numbers all the time, and knows every number that it was promised.

`python -m tests.demo.client ADDRESS` takes orders on stdin and answers on stdout, one JSON object a line
(`tests.demo.remote` is the other end); it ends with its stdin.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any

import click

from tests.demo.ledger import Ledger, UnknownStepError
from tests.demo.resp import BrokenReplyError, Connection, ReplyError
from tests.patience import patient

PAGE = 10_000  # numbers read back at once


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to write, and how patient to be. Seconds."""

    host: str
    port: int = 6379
    key: str = "demo:numbers"
    interval: float = patient(0.002)  # between an acknowledgement and the next write
    connect_timeout: float = 0.1
    reply_timeout: float = 1.0
    retry: float = 0.005  # after a failure: as fine as a gap is measured


@dataclass
class Writer:
    """One write in flight, each with a number of its own, never used again: an unanswered one is nobody's promise."""

    target: Target
    ledger: Ledger = field(default_factory=Ledger)
    failures: int = 0
    last_error: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._write_always, name="writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write no more. What was acknowledged stays known."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def mark(self, step: str) -> None:
        """Begin a step; the one before it ends."""
        with self._changed:
            self.ledger.mark(step, time.monotonic())

    def gap_of(self, step: str, settle: float = patient(10.0)) -> float:
        """The longest silence that touches the step, in seconds.

        If the service is silent at the step's end, the answer waits up to `settle` seconds for it to speak again.
        """
        with self._changed:
            start, end = self.ledger.span(step, time.monotonic())
            self._changed.wait_for(lambda: self.ledger.spoke_since(end), timeout=settle)
            return self.ledger.longest_gap(start, end, time.monotonic())

    def wait_for_write(self, timeout: float) -> bool:
        """Whether a write was acknowledged within `timeout` seconds from now."""
        now = time.monotonic()
        with self._changed:
            return self._changed.wait_for(lambda: self.ledger.spoke_since(now), timeout=timeout)

    def verify(self, host: str | None = None) -> tuple[int, int]:
        """Read all back (from `host`, if it is another): how many were acknowledged, and how many of them are lost.

        What is acknowledged while this reads counts neither way.
        """
        with self._changed:
            acknowledged = len(self.ledger.numbers)
        return acknowledged, len(self.ledger.lost(set(self._read_back(host or self.target.host)), acknowledged))

    def _write_always(self) -> None:
        number = 0
        while not self._ended.is_set():
            try:
                with self._connect(self.target.host) as connection:
                    while not self._ended.is_set():
                        number += 1
                        connection.command("RPUSH", self.target.key, number)
                        with self._changed:
                            self.ledger.acknowledge(number, time.monotonic())
                            self._changed.notify_all()
                        self._ended.wait(self.target.interval)
            except (OSError, ReplyError, BrokenReplyError) as error:
                self.failures += 1
                self.last_error = repr(error)
                self._ended.wait(self.target.retry)

    def _connect(self, host: str, reply_timeout: float | None = None) -> Connection:
        target = self.target
        return Connection.open(
            host,
            target.port,
            connect_timeout=target.connect_timeout,
            reply_timeout=reply_timeout or target.reply_timeout,
        )

    def _read_back(self, host: str) -> list[int]:
        numbers: list[int] = []
        with self._connect(host, reply_timeout=30.0) as connection:
            while True:
                page = connection.command("LRANGE", self.target.key, len(numbers), len(numbers) + PAGE - 1)
                if not isinstance(page, list):
                    raise BrokenReplyError(f"LRANGE answered {page!r}")
                if not page:
                    return numbers
                numbers += [int(each) for each in page if isinstance(each, bytes)]


def obey(writer: Writer, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order."""
    match order:
        case {"do": "mark", "step": str(step)}:
            writer.mark(step)
            return {}
        case {"do": "gap", "step": str(step)}:
            return {"gap": writer.gap_of(step)}
        case {"do": "wait", "timeout": float(timeout)}:
            return {"written": writer.wait_for_write(timeout)}
        case {"do": "status"}:
            return {
                "acknowledged": len(writer.ledger.numbers),
                "failures": writer.failures,
                "last_error": writer.last_error,
            }
        case {"do": "stop"}:
            writer.stop()
            return {}
        case {"do": "verify", "host": str(host)}:
            acknowledged, lost = writer.verify(host)
            return {"acknowledged": acknowledged, "lost": lost}
        case _:
            raise UnknownStepError(f"no such order: {order}")


def serve(writer: Writer, orders: IO[str], answers: IO[str]) -> None:
    """Carry out orders until their stream ends. An order that fails is answered with its error."""
    for line in orders:
        try:
            answer = obey(writer, json.loads(line))
        except (OSError, ReplyError, BrokenReplyError, UnknownStepError) as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), file=answers, flush=True)


@click.command()
@click.argument("host")
@click.option("--port", default=6379)
def main(host: str, port: int) -> None:
    """Write numbers to HOST until stdin ends."""
    writer = Writer(Target(host=host, port=port))
    writer.start()
    serve(writer, sys.stdin, sys.stdout)
    writer.stop()


if __name__ == "__main__":
    main()
