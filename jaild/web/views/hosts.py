"""A host as a row, and what of it asks for somebody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jaild.model.quantity import count, size
from jaild.v1 import host_pb2
from jaild.web.views.jails import Concern, JailRow
from jaild.web.views.words import Tone
from jaild.web.views.work import Work


@dataclass(frozen=True)
class Trouble:
    """Why a context's daemon does not answer, as jailctl says it."""

    message: str
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class HostRow:
    """A host in a table. `share` is how much of its space is used, in percent."""

    state: str
    tone: Tone
    host: str
    version: str
    running: int
    jails: int
    unwell: int
    space: str
    share: int
    kernel: str


def row(host: host_pb2.HostInfo, jails: Iterable[JailRow], trouble: Trouble | None, *, asked: bool) -> HostRow:
    """Return a host's row. `asked`: it has answered at least once; what it said last stays while it is away."""
    total = host.used_bytes + host.available_bytes
    return HostRow(
        *_state(host, trouble, asked=asked),
        host=host.name,
        version=host.version,
        running=host.running,
        jails=host.jails,
        unwell=sum(any(each.tone is Tone.BAD for each in jail.concerns) for jail in jails),
        space=f"{size(host.available_bytes)} free" if asked else "",
        share=round(100 * host.used_bytes / total) if total else 0,
        kernel=f"{host.kernel} {host.machine}".strip(),
    )


def _state(host: host_pb2.HostInfo, trouble: Trouble | None, *, asked: bool) -> tuple[str, Tone]:
    if trouble is not None:
        return "unreachable", Tone.BAD
    if not asked:
        return "asking", Tone.QUIET
    if host.shut_down:
        return "shut down", Tone.WARN
    return ("drained", Tone.WARN) if host.HasField("drain") else ("up", Tone.OK)


def concerns(
    host: host_pb2.HostInfo, jails: Iterable[JailRow], works: Iterable[Work], trouble: Trouble | None
) -> list[Concern]:
    """Return what of a host and its jails somebody should look at, the worst first.

    What was known of a host that does not answer is not told: it may be over.
    """
    if trouble is not None:
        return [Concern(Tone.BAD, f"does not answer: {trouble.message}")]
    found = [Concern(Tone.BAD, warning) for warning in host.warnings]
    found += [
        Concern(Tone.WARN, f"{task.name} has failed {count(task.failures, 'time')}: {task.error}")
        for task in host.failing_tasks
    ]
    if host.shut_down:
        found.append(
            Concern(Tone.WARN, "its jails were stopped for its shutdown; nothing is changed until start-jails")
        )
    for work in works:
        if work.state == "paused":
            found.append(Concern(Tone.WARN, f"{work.what} is paused: {work.note}".rstrip(": "), work.name, "resume"))
        elif work.failed:
            found.append(Concern(Tone.WARN, f"{work.what}: {work.progress}", work.name))
    found += [each for jail in jails for each in jail.concerns]
    return sorted(found, key=lambda each: each.tone is not Tone.BAD)


def facts(host: host_pb2.HostInfo) -> list[tuple[str, str]]:
    """Return what a host is, for its own page."""
    drained = f"by {host.drain.actor}: {host.drain.reason}".rstrip(": ") if host.HasField("drain") else ""
    told = (
        ("jaild", f"{host.version}, peer protocol {host.peer_protocol}"),
        ("kernel", f"{host.kernel} {host.machine}"),
        ("runtime", host.runtime),
        ("ZFS", f"{host.zfs}, {host.dataset}"),
        ("space", f"{size(host.used_bytes)} used, {size(host.available_bytes)} free"),
        ("peers", ", ".join(host.peers)),
        ("drained", drained),
        ("background", count(host.background_tasks, "task")),
        ("repaired at start", "; ".join(host.repairs)),
    )
    return [(key, value) for key, value in told if value.strip(" ,")]
