"""What any host needs: root, a configuration, folders with room, a clock that is right, programs, peers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jaild.doctor.checks.report import Check, error, note, warning
from jaild.model import quantity
from jaild.model.problems import Problem

_SOCKET_PATH = 103  # bytes: sun_path has 104 on FreeBSD, 108 on Linux, with a 0 at the end
_ROOM = 1 << 30  # bytes that the state folder should have: archives are spooled there whole
_GRANTED = 0o077


@dataclass(frozen=True, kw_only=True)
class Place:
    """A path of the configuration, as it is on the disk."""

    setting: str  # state, run, logs, socket
    path: str
    kind: str  # folder, socket, other; '' if there is nothing
    uid: int = 0
    mode: int = 0o755
    writable: bool = True  # by root: not on a file system that is mounted read-only
    free: int = 0  # bytes on its file system, or on that of the folder it would be made in


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The host's time, beside the newest time that is known to have been."""

    now: float  # seconds since the epoch
    known: float  # when jaild's own files were written: it cannot be earlier
    keepers: tuple[str, ...]  # programs that run and set the clock: ntpd, chronyd ...


@dataclass(frozen=True, kw_only=True)
class PeerAnswer:
    """What came of a Hello to a configured peer."""

    name: str
    address: str
    reason: str = ""  # of the error; '' if it answered
    message: str = ""
    hint: str = ""
    called: str = ""  # what it calls itself, if it answered
    said: str = ""  # what it is
    seconds: float = 0.0


def root(uid: int) -> Check:
    """Jails, mounts and ZFS are root's."""
    if uid == 0:
        return Check(topic="root", summary="runs as root")
    problem = error("NOT_ROOT", f"runs as uid {uid}", "run it as root; what only root sees was not looked at")
    return Check(topic="root", problems=(problem,))


def configuration(path: str, why: str) -> Check:
    """Return a problem for one that cannot be read, which `why` tells; what depends on it is not looked at."""
    if not why:
        return Check(topic="config", summary=path)
    hint = "correct it: jaild.yaml.sample has every setting with its meaning. Dataset, peers, certificates and folders"
    problem = error("INVALID_CONFIG", why, f"{hint} were not looked at", subject=path)
    return Check(topic="config", problems=(problem,))


def places(found: Sequence[Place]) -> Check:
    """Return what is wrong with folders and socket."""
    problems = [problem for place in found for problem in _place(place)]
    shown = ", ".join(f"{place.setting} {place.path}" for place in found)
    return Check(topic="folders", summary=shown, problems=tuple(problems))


def _place(place: Place) -> list[Problem]:
    problems = []
    if place.kind and place.kind != ("socket" if place.setting == "socket" else "folder"):
        what = f"{place.setting}: {place.path} is no {'socket' if place.setting == 'socket' else 'folder'}"
        problems.append(error("PLACE_UNUSABLE", what, "move it away, or set another path", subject=place.path))
    if place.kind and not place.writable:
        what = f"{place.setting}: {place.path} cannot be written"
        problems.append(error("PLACE_UNUSABLE", what, "see how its file system is mounted", subject=place.path))
    if place.kind == "folder" and place.setting == "state" and (place.uid != 0 or place.mode & 0o022):
        what = f"state: {place.path} can be changed by others than root (uid {place.uid}, mode {place.mode:04o})"
        problems.append(error("PLACE_EXPOSED", what, f"chown root {place.path}; chmod 700 {place.path}"))
    if place.kind == "socket" and place.mode & _GRANTED:
        what = f"socket: {place.path} is open to others than root (mode {place.mode:04o})"
        problems.append(error("PLACE_EXPOSED", what, "restart the daemon: who can open it may do everything"))
    if place.setting == "socket" and len(place.path.encode()) > _SOCKET_PATH:
        what = f"socket: {place.path} is longer than {_SOCKET_PATH} bytes"
        problems.append(error("SOCKET_PATH_TOO_LONG", what, "set `socket` to a shorter path"))
    if place.setting == "state" and place.free < _ROOM:
        what = f"state: {quantity.size(place.free)} are free where {place.path} is"
        problems.append(warning("SPACE_LOW", what, "archives are spooled there whole: make room, or move `state`"))
    return problems


def daemon(socket: str, answers: bool, stopped: str = "") -> Check:  # noqa: FBT001 -- the one fact it is about
    """Whether the daemon answers. A host may be looked at before it is started, so this is a warning."""
    if answers:
        return Check(topic="daemon", summary=f"answers on {socket}")
    hint = stopped or "start it; if it does not come up, its log says why"
    problem = warning("DAEMON_SILENT", f"nothing answers on {socket}", hint, subject=socket)
    return Check(topic="daemon", problems=(problem,))


def clock(found: Clock) -> Check:
    """Say whether the time can be right: with a wrong one certificates are invalid."""
    shown = datetime.fromtimestamp(found.now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    problems = []
    if found.now < found.known:
        known = datetime.fromtimestamp(found.known, UTC).strftime("%Y-%m-%d")
        message = f"the clock says {shown}, and jaild was installed at {known}"
        problems.append(error("CLOCK_WRONG", message, "set it: ntpd -gq, or date(1)"))
    if not found.keepers:
        message = "no program keeps the clock right (ntpd, chronyd, openntpd ...)"
        problems.append(
            warning(
                "CLOCK_UNSYNCHRONISED",
                message,
                "FreeBSD: sysrc ntpd_enable=YES; service ntpd start. Debian: apt-get install chrony",
            )
        )
    kept = f", kept by {', '.join(found.keepers)}" if found.keepers else ""
    return Check(topic="clock", summary=shown + kept, problems=tuple(problems))


def programs(missing: Sequence[str], packages: str) -> Check:
    """Name the missing ones; `packages` says where they come from."""
    problems = tuple(
        error("PROGRAM_MISSING", f"{name} is not on jaild's PATH", packages, subject=name) for name in missing
    )
    return Check(topic="programs", summary="" if missing else "all that jaild runs are there", problems=problems)


def peers(answers: Sequence[PeerAnswer], *, is_new: bool = False) -> list[Check]:
    """Return a check for each peer: TLS handshake and Hello, as a migration begins.

    `is_new`: this host has never been started. One that cannot be reached is a warning then: the start needs none, and
    of two new hosts one is the first.
    """
    if not answers:
        alone = note(
            "NO_PEERS", "no peers are configured: no jail can be moved from here", "add `peers`, see the sample"
        )
        return [Check(topic="peers", problems=(alone,))]
    return [_peer(answer, is_new=is_new) for answer in answers]


def _peer(answer: PeerAnswer, *, is_new: bool) -> Check:
    topic = f"peer {answer.name}"
    if not answer.reason:
        problems: tuple[Problem, ...] = ()
        if answer.called != answer.name:
            what = f"it is configured as {answer.name} and calls itself {answer.called}"
            hint = "give it here the `name` that it has in its own configuration: hand-overs are asked about by name"
            problems = (error("PEER_NAME", what, hint, subject=answer.name),)
        summary = f"{answer.said}, at {answer.address} in {answer.seconds * 1000:.0f} ms"
        return Check(topic=topic, summary=summary, problems=problems)
    if is_new and answer.reason == "PEER_UNREACHABLE":
        hint = f"the start goes well without it; when both run, look again: {answer.hint}"
        return Check(topic=topic, problems=(warning(answer.reason, answer.message, hint, subject=answer.name),))
    return Check(topic=topic, problems=(error(answer.reason, answer.message, answer.hint, subject=answer.name),))
