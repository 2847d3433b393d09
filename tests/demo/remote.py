"""The handle of a client that runs as a process of its own, in another network namespace."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.patience import patient


class ClientError(Exception):
    """The client could not do it, or is gone."""


@dataclass
class RemoteWriter:
    """A `tests.demo.client` process with pipes on stdin and stdout. One caller at a time."""

    process: subprocess.Popen[str]

    def mark(self, step: str) -> None:
        """Begin a step; the one before it ends."""
        self._ask({"do": "mark", "step": step})

    def gap_of(self, step: str) -> float:
        """Seconds of the longest silence that touches the step; waits up to 10 s for a silence to end."""
        return float(self._ask({"do": "gap", "step": step})["gap"])

    def wait_for_write(self, timeout: float) -> bool:
        """Whether a write was acknowledged within `timeout` seconds from now."""
        return bool(self._ask({"do": "wait", "timeout": float(timeout)})["written"])

    def status(self) -> dict[str, Any]:
        """`acknowledged`, `failures` (counts) and `last_error`."""
        return self._ask({"do": "status"})

    def stop_writing(self) -> None:
        """Write no more; it can still verify."""
        self._ask({"do": "stop"})

    def verify(self, host: str) -> tuple[int, int]:
        """How many writes were acknowledged, and how many of them `host` does not have."""
        answer = self._ask({"do": "verify", "host": host})
        return int(answer["acknowledged"]), int(answer["lost"])

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=patient(10))
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise ClientError("the client was started without pipes")
        print(json.dumps(order), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise ClientError(f"the client ended with status {self.process.wait()} at {order}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ClientError(f"{order}: {answer['error']}")
        return answer
