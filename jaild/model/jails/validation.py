"""The rules of a jail's specification that types cannot say; those of its network: `jaild.model.jails.network`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping

from jaild.model import duration, maintenance, names, pathrules, quantity, syslog
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import cpulist
from jaild.model.jails import network as netcheck
from jaild.model.jails.redaction import REDACTED
from jaild.model.jails.spec import (
    PRIVILEGES,
    ExecCheck,
    ExecHook,
    HealthCheck,
    HttpCheck,
    JailSpec,
    Keep,
    Mode,
    NetworkCheck,
)
from jaild.model.problems import Problem, Severity
from jaild.model.yamltext import step

# Those that both systems know, by the names that kill(1) takes on both.
SIGNALS = ("TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "WINCH", "ALRM", "ABRT", "CONT", "PIPE")
_HOSTNAME = re.compile(
    r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10}(:[0-9]{1,10})?")
_RULESET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?")
_PEER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_TAG = re.compile(r"[!-~]{1,48}")  # RFC 5424, 6
_LABEL_VALUE = 256  # characters
_LABELS = 64
_SHORTEST = 60  # seconds between two snapshots
_RECORDSIZES = tuple(512 << n for n in range(12))  # up to 1M: larger ones need a module parameter


def check(spec: JailSpec) -> tuple[Problem, ...]:
    """Return every broken rule as an error of code INVALID_SPEC; `subject` is the field's path."""
    rules = (
        _what_runs,
        _boot,
        _environment,
        _amounts,
        _health,
        _hooks,
        _ending,
        _standby,
        _maintenance,
        _logs,
        _snapshots,
    )
    mistakes = [mistake for rule in rules for mistake in rule(spec)]
    mistakes += [*netcheck.mistakes(spec), *_privileges(spec)]
    return tuple(_problem(path, message) for path, message in mistakes)


def require(spec: JailSpec) -> None:
    """Raise `InvalidArgumentError` (INVALID_SPEC) with all problems if `check` has any; `path` names the first."""
    if problems := check(spec):
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidArgumentError(
            "INVALID_SPEC",
            f"{first.subject}: {first.message}{more}",
            hint="correct it and send it again",
            detail={"path": first.subject},
            problems=problems,
        )


def _problem(path: str, message: str) -> Problem:
    return Problem(severity=Severity.ERROR, code="INVALID_SPEC", message=message, subject=path)


def _named(path: str, problem: InvalidArgumentError) -> tuple[str, str]:
    return path, f"{problem.message}: {problem.hint}"


def _what_runs(spec: JailSpec) -> Iterator[tuple[str, str]]:
    if bool(spec.base) == bool(spec.channel):
        yield "$.base", "say either a base or a channel" + (", not both" if spec.base else "")
    try:
        if spec.base:
            names.base(spec.base)
    except InvalidArgumentError as error:
        yield _named("$.base", error)
    try:
        if spec.channel:
            names.channel(spec.channel)
    except InvalidArgumentError as error:
        yield _named("$.channel", error)
    try:
        if spec.app is not None:
            names.release(spec.app)
    except InvalidArgumentError as error:
        yield _named("$.app", error)
    yield from command_mistakes("$.command", spec.command)
    yield from user_mistakes(spec.user)
    if spec.hostname is not None and not _HOSTNAME.fullmatch(spec.hostname):
        yield "$.hostname", f"{spec.hostname!r} is not a host name of at most 64 characters"


def _boot(spec: JailSpec) -> Iterator[tuple[str, str]]:
    for index, other in enumerate(spec.boot.after):
        try:
            names.jail(other)
        except InvalidArgumentError as error:
            yield _named(f"$.boot.after[{index}]", error)
    if len(set(spec.boot.after)) < len(spec.boot.after):
        yield "$.boot.after", "a jail is named twice"


def user_mistakes(user: str | None) -> Iterator[tuple[str, str]]:
    """Yield why `user` cannot be who runs the command; nothing said is allowed."""
    if user is not None and not _USER.fullmatch(user):
        yield "$.user", f"{user!r} is not a user: write a name, a uid, or uid:gid"


def command_mistakes(path: str, command: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield what cannot be an argument vector (empty is allowed: nothing to run)."""
    if command and not command[0]:
        yield f"{path}[0]", "the program's name is empty"
    for index, argument in enumerate(command):
        if "\0" in argument:
            yield f"{path}[{index}]", "an argument cannot hold a NUL"


def variable_mistakes(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what cannot be an environment."""
    for key, value in environment.items():
        path = f"$.environment{step(key)}"
        if not _VARIABLE.fullmatch(key):
            yield path, f"{key!r} is not a variable's name: letters, digits and _, not starting with a digit"
        if "\0" in value or "\n" in value:
            yield path, "a value cannot hold a NUL or a line's end"
        if value == REDACTED:
            yield path, f"{REDACTED} stands for a value that was not shown, and there is none to keep: write the value"


def _environment(spec: JailSpec) -> Iterator[tuple[str, str]]:
    yield from variable_mistakes(spec.environment)
    if len(spec.labels) > _LABELS:
        yield "$.labels", f"more than {_LABELS} labels"
    for key, value in spec.labels.items():
        if not _LABEL.fullmatch(key):
            yield f"$.labels{step(key)}", f"{key!r} is not a label: 1 to 63 of a-z, 0-9, ., _, / and -"
        if len(value) > _LABEL_VALUE or not (value.isprintable() or not value):
            yield f"$.labels{step(key)}", f"a label's value is at most {_LABEL_VALUE} printable characters"
    if spec.placement.apart is not None and spec.placement.apart not in spec.labels:
        yield "$.placement.apart", f"{spec.placement.apart!r} is no key of the jail's labels"


def _amounts(spec: JailSpec) -> Iterator[tuple[str, str]]:
    yield from _size("$.quota", spec.quota)
    yield from _size("$.limits.memory", spec.limits.memory)
    if spec.limits.cpus is not None and not math.isfinite(spec.limits.cpus):
        yield "$.limits.cpus", "it must be a number"
    try:
        if spec.limits.cpuset:
            cpulist.parse(spec.limits.cpuset)
    except InvalidArgumentError as error:
        yield _named("$.limits.cpuset", error)
    if spec.devfs_ruleset is not None and not _RULESET.fullmatch(spec.devfs_ruleset):
        yield "$.devfs_ruleset", f"{spec.devfs_ruleset!r} is not a ruleset's name as devfs.rules(5) has it"
    seen: dict[str, str] = {}
    for name, volume in spec.volumes.items():
        path = f"$.volumes{step(name)}"
        try:
            names.volume(name)
        except InvalidArgumentError as error:
            yield _named(path, error)
        if wrong := pathrules.not_for_a_volume(volume.path):
            yield f"{path}.path", f"no volume can be at {volume.path!r}: {wrong}"
        elif volume.path in seen:
            yield f"{path}.path", f"volume {seen[volume.path]!r} is at {volume.path} already"
        seen.setdefault(volume.path, name)
        yield from _size(f"{path}.quota", volume.quota)
        sizes = list(_size(f"{path}.recordsize", volume.recordsize))
        yield from sizes
        if volume.recordsize is not None and not sizes and quantity.parse(volume.recordsize) not in _RECORDSIZES:
            yield f"{path}.recordsize", "it must be a power of two from 512 to 1M"


def _size(path: str, text: str | None) -> Iterator[tuple[str, str]]:
    try:
        if text is not None:
            quantity.parse(text)
    except InvalidArgumentError as error:
        yield _named(path, error)


def checks(spec: JailSpec) -> Iterator[tuple[str, HealthCheck]]:
    """Yield all health checks that a spec names, with their paths."""
    for index, check in enumerate(spec.health):
        yield f"$.health[{index}]", check
    for index, check in enumerate(spec.liveness.checks if spec.liveness is not None else ()):
        yield f"$.liveness.checks[{index}]", check


def _health(spec: JailSpec) -> Iterator[tuple[str, str]]:
    unreachable = spec.network.mode is not Mode.HOST and not spec.network.addresses
    for path, probe in checks(spec):
        if isinstance(probe, ExecCheck):
            yield from command_mistakes(f"{path}.command", probe.command)
        elif isinstance(probe, NetworkCheck) and probe.address is None and unreachable:
            yield path, "a check over the network needs an address to reach: the jail has none"
        elif isinstance(probe, NetworkCheck) and probe.address is not None:
            yield from netcheck.probe_mistakes(f"{path}.address", probe.address, spec)
        if isinstance(probe, HttpCheck) and not re.fullmatch(r"/[!-~]*", probe.path):
            yield f"{path}.path", "it must start with / and hold no white space; escape other characters with %"
    policy = spec.restart.policy if spec.restart is not None else "never"
    if spec.liveness is not None and spec.liveness.restart and policy == "never":
        yield "$.liveness.restart", "it needs `restart` with a policy other than never, which says how often"
    if spec.readiness.interval * (spec.readiness.successes - 1) >= spec.readiness.deadline:
        yield "$.readiness.deadline", "it can never pass: the successes take longer than the deadline allows"


def _hooks(spec: JailSpec) -> Iterator[tuple[str, str]]:
    for which in ("before_stop", "after_start"):
        for index, hook in enumerate(getattr(spec.hooks, which)):
            path = f"$.hooks.{which}[{index}]"
            if isinstance(hook, ExecHook):
                yield from command_mistakes(f"{path}.command", hook.command)
                continue
            try:
                netcheck.hook_target(hook.url)
            except ValueError as error:
                yield f"{path}.url", f"{hook.url!r}: {error}"


def _standby(spec: JailSpec) -> Iterator[tuple[str, str]]:
    peers = spec.standby.peers if spec.standby is not None else ()
    for index, peer in enumerate(peers):
        if not _PEER.fullmatch(peer):
            yield f"$.standby.peers[{index}]", f"{peer!r} is not a host's name: 1 to 63 of letters, digits, . and -"
        elif peer in peers[:index]:
            yield f"$.standby.peers[{index}]", f"{peer} is named twice"


def _maintenance(spec: JailSpec) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(spec.maintenance):
        try:
            maintenance.parse(text)
        except ValueError as error:
            yield f"$.maintenance[{index}]", str(error)


def _logs(spec: JailSpec) -> Iterator[tuple[str, str]]:
    if (to := spec.logs.syslog) is None:
        return
    try:
        syslog.place(to.address)
    except ValueError as error:
        yield "$.logs.syslog.address", str(error)
    if to.tag is not None and not _TAG.fullmatch(to.tag):
        yield "$.logs.syslog.tag", f"{to.tag!r} is no tag: 1 to 48 visible characters of ASCII"


def _snapshots(spec: JailSpec) -> Iterator[tuple[str, str]]:
    if spec.snapshots is not None:
        yield from _regularly("$.snapshots", spec.snapshots.every, spec.snapshots.keep)
    for target, backup in spec.backups.items():
        path = f"$.backups{step(target)}"
        try:
            names.backup_target(target)
        except InvalidArgumentError as error:
            yield _named(path, error)
        yield from _regularly(path, backup.every, backup.keep)


def _regularly(path: str, every: str, keep: Keep) -> Iterator[tuple[str, str]]:
    try:
        if duration.parse(every) < _SHORTEST:
            yield f"{path}.every", f"{every} is too often: write {_SHORTEST}s or more"
    except InvalidArgumentError as error:
        yield _named(f"{path}.every", error)
    if keep == Keep():
        yield f"{path}.keep", "it keeps none: say how many, as in {hourly: 24, daily: 7}"


def _ending(spec: JailSpec) -> Iterator[tuple[str, str]]:
    if spec.stop.signal not in SIGNALS:
        close = difflib.get_close_matches(spec.stop.signal.upper().removeprefix("SIG"), SIGNALS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(SIGNALS)}"
        yield "$.stop.signal", f"there is no signal {spec.stop.signal!r}: {hint}"


def _privileges(spec: JailSpec) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(spec.allow):
        if name not in PRIVILEGES:
            yield f"$.allow[{index}]", f"{name!r} is not what a jail can be allowed; there are {', '.join(PRIVILEGES)}"
        elif name in spec.allow[:index]:
            yield f"$.allow[{index}]", f"{name} is there twice"
