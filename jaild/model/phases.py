"""The phases of an operation: what may end one before it is done, and how long each took."""

from __future__ import annotations

from enum import StrEnum

import msgspec

KEPT = 64  # of an operation: its last ones


class Stop(StrEnum):
    """What may end a phase before it is done."""

    NOW = "now"  # a cancel, and the daemon's stop
    CANCEL = "cancel"  # a cancel; the daemon's stop waits, since it is sooner done than undone
    NEVER = "never"  # nothing: ended halfway, it would only lengthen the downtime


class Outcome(StrEnum):
    """How a phase came out."""

    UNDER_WAY = ""
    DONE = "done"
    FAILED = "failed"  # or it was cancelled: the operation's failure says why
    UNDONE = "undone"  # it was done, and then a later one failed
    UNTIDY = "untidy"  # something of it is left: an event jail.untidy says what


class PhaseReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One phase that an operation has begun."""

    name: str
    begun: float  # seconds that the operation had been under way
    seconds: float | None = None  # that it took; None while it goes on
    outcome: Outcome = Outcome.UNDER_WAY


Reports = tuple[PhaseReport, ...]


def entered(reports: Reports, at: float, name: str) -> Reports:
    """Return the reports when a phase begins, the operation being under way for `at` seconds: the one before is done.

    A phase that is entered again at once (the next round of the same) goes on.
    """
    if reports and reports[-1].name == name and reports[-1].seconds is None:
        return reports
    return (*ended(reports, at, Outcome.DONE), PhaseReport(name, at))[-KEPT:]


def ended(reports: Reports, at: float, outcome: Outcome) -> Reports:
    """Return the reports when the phase under way, if there is one, has come to its end."""
    if not reports or reports[-1].seconds is not None:
        return reports
    last = msgspec.structs.replace(reports[-1], seconds=at - reports[-1].begun, outcome=outcome)
    return (*reports[:-1], last)


def marked(reports: Reports, name: str, outcome: Outcome) -> Reports:
    """Return the reports when the last phase of that name, which has ended, came out otherwise in the end.

    One that failed stays so when it is undone.
    """
    for at in reversed(range(len(reports))):
        if reports[at].name == name:
            kept = outcome is Outcome.UNDONE and reports[at].outcome is Outcome.FAILED
            mended = reports[at] if kept else msgspec.structs.replace(reports[at], outcome=outcome)
            return (*reports[:at], mended, *reports[at + 1 :])
    return reports
