"""What the story needs of the hosts, wherever they are: jailctl on either of them, and a client that writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from jaild.cli.output.exits import Exit

SOURCE_HOST, TARGET_HOST = "alpha", "beta"


class Who(StrEnum):
    """The three users of a host, each with a certificate of its own."""

    PRODUCT = "product"
    SOURCE = "source"
    OPERATOR = "operator"


class Result(StrEnum):
    """How a change ended."""

    OK = "ok"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    FAILED = "failed"


_RESULTS: dict[int, Result] = {Exit.OK: Result.OK, Exit.ROLLED_BACK: Result.ROLLED_BACK, Exit.REFUSED: Result.REFUSED}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one jailctl said and how long it took, in seconds. With `-o json` its output is a document."""

    command: str  # as one types it
    status: int
    output: str
    complaint: str
    seconds: float

    @property
    def result(self) -> Result:
        """What the exit status means."""
        return _RESULTS.get(self.status, Result.FAILED)

    @property
    def document(self) -> dict[str, Any]:
        """The output; empty if there is none, as of a request that was refused at once."""
        found: dict[str, Any] = json.loads(self.output) if self.output.strip() else {}
        return found

    @property
    def metadata(self) -> dict[str, Any]:
        """An operation's metadata."""
        found: dict[str, Any] = self.document.get("metadata", {})
        return found

    @property
    def facts(self) -> dict[str, str]:
        """An operation's numbers and texts about its result."""
        found: dict[str, str] = self.metadata.get("facts", {})
        return found

    @property
    def error(self) -> str:
        """What an operation that was carried out failed of, in one line, and what to do about it."""
        error = self.document.get("error", {})
        hints = [detail.get("metadata", {}).get("hint") for detail in error.get("details", [])]
        return "\n".join([error.get("message", ""), *filter(None, hints)])

    @property
    def downtime(self) -> float | None:
        """Seconds without service, measured by the daemon; None where nothing was stopped."""
        return seconds_of(self.metadata.get("downtime"))

    @property
    def predicted_downtime(self) -> float | None:
        """Seconds, as the daemon expected them."""
        return seconds_of(self.metadata.get("predictedDowntime"))


class Writer(Protocol):
    """A client that writes all the time; `tests.demo.remote.RemoteWriter` says what each does."""

    def mark(self, step: str) -> None: ...
    def gap_of(self, step: str) -> float: ...
    def wait_for_write(self, timeout: float) -> bool: ...
    def status(self) -> dict[str, Any]: ...
    def stop_writing(self) -> None: ...
    def verify(self, host: str) -> tuple[int, int]: ...


class Fleet(Protocol):
    """Two hosts with a running daemon each, SOURCE_HOST and TARGET_HOST, and a third machine that reaches both."""

    CRASH: ClassVar[str]  # what `crash` does, for people

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        """Run one `jailctl -o json` to its end, as `who`, talking to the daemon of `host`."""

    def crash(self, host: str) -> None:
        """End the daemon of `host` as it stands, or its whole machine; return when the next one answers."""

    def open_writer(self, address: str) -> Writer:
        """Start a client that writes to the jail's address from now on. The fleet ends it."""


def seconds_of(text: str | None) -> float | None:
    """Seconds of a duration in protobuf's JSON: `1.250s`."""
    return None if text is None else float(text.removesuffix("s"))
