"""What a plan says of a jail that is to be adopted: what is not taken along, and what stands in the way. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from jaild.model import names, pathrules, quantity
from jaild.model.differences import Differences
from jaild.model.errors import InvalidArgumentError
from jaild.model.foreign.jail import ForeignJail, ForeignMount
from jaild.model.foreign.tools import command
from jaild.model.jails.spec import Volume
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import BaseRecord, Family
from jaild.model.problems import Problem, Severity

_TOLD = 200  # paths of each kind that a problem shows


def settings(jail: ForeignJail) -> list[Problem]:
    """Return what of the old jail's configuration has no place in a spec."""
    return [
        Problem(
            severity=Severity.WARNING,
            code="SETTING_NOT_ADOPTED",
            message=f"{jail.tool} has {left.key} = {left.value or 'on'}: {left.why}",
            subject=left.key,
            hint="the table in docs/migrating-to-jaild.md says what becomes of each key",
        )
        for left in jail.left
    ]


def running(jail: ForeignJail, *, stop: bool) -> list[Problem]:
    """Return what keeps a jail from being adopted that runs, and is not to be stopped."""
    if stop:
        return []
    words = shlex.join(command(jail.tool, "stop", jail.name))
    return [
        Problem(
            severity=Severity.ERROR,
            code="FOREIGN_JAIL_RUNNING",
            message=f"jail {jail.name} of {jail.tool} runs: what it writes meanwhile would be lost",
            subject=jail.name,
            hint=f"stop it: {words}; or let it be stopped when all else is made: --stop-old",
        )
    ]


def boots(jail: ForeignJail) -> list[Problem]:
    """Return the note that two jails would start with the host, if its tool starts the old one."""
    if not jail.boots:
        return []
    words = shlex.join(command(jail.tool, "disable", jail.name))
    return [
        Problem(
            severity=Severity.WARNING,
            code="OLD_JAIL_BOOTS",
            message=f"{jail.tool} starts its jail {jail.name} when the host boots, and jaild this one",
            subject=jail.name,
            hint=f"keep the old one from it: {words}",
        )
    ]


def base_of(system: OsVersion, bases: Iterable[BaseRecord]) -> BaseRecord | None:
    """Return the base that a userland is adopted on: of the same version; else the newest of the same release."""
    alike = [base for base in bases if base.abi == system.abi]
    same = [base for base in alike if base.version == system.version]
    near = [base for base in alike if _release(base.version) == _release(system.version)]
    newest = sorted(same or near, key=lambda base: (base.osreldate, base.imported))
    return newest[-1] if newest else None


def _release(version: str) -> str:
    return re.sub(r"-p\d+$", "", version)


def no_base(jail: ForeignJail, system: OsVersion) -> Problem:
    """Return that there is no base for a userland, with the command that makes one of it."""
    tree = jail.places.userland or jail.places.own
    what = "FreeBSD" if system.family is Family.FREEBSD else system.abi
    importing = shlex.join(("jailctl", "base", "import", _base_name(system), tree, "--on-host"))
    return Problem(
        severity=Severity.ERROR,
        code="NO_BASE_FOR_RELEASE",
        message=f"there is no base of {what} {system.version}, which jail {jail.name} was made of",
        subject="$.base",
        hint=f"import its userland as one: {importing}; or name a base: --base",
    )


def _base_name(system: OsVersion) -> str:
    return system.version if system.family is Family.FREEBSD else f"{system.abi.partition(':')[0]}-{system.version}"


def other_base(system: OsVersion, base: BaseRecord) -> list[Problem]:
    """Return the note that the jail will be on another version than it was."""
    if base.version == system.version:
        return []
    return [
        Problem(
            severity=Severity.WARNING,
            code="OTHER_BASE",
            message=f"the old jail is on {system.version}, base {base.name} is {base.version}",
            subject="$.base",
            hint="its /etc is merged as at an upgrade; for the same version import the old userland as a base",
        )
    ]


def tree(found: Differences, base: str) -> list[Problem]:
    """Return what of a jail's tree is neither of its base nor in what is adopted."""
    told = [(found.added, f"that base {base} does not have"), (found.changed, f"that are not as in base {base}")]
    problems = [
        Problem(
            severity=Severity.WARNING,
            code="FILES_NOT_ADOPTED",
            message=f"{quantity.count(len(paths), 'path')} of the old tree {what}: not adopted"
            + (f"; {found.more} more differ" if found.more else ""),
            subject=f"/{paths[0]}",
            hint="the old jail keeps them: put what is needed into the app's release, a volume or another base",
            evidence=_shown(paths),
        )
        for paths, what in told
        if paths
    ]
    if found.removed:
        problems.append(
            Problem(
                severity=Severity.NOTE,
                code="FILES_COME_BACK",
                message=f"{quantity.count(len(found.removed), 'path')} of base {base} that the old jail does not have",
                subject=f"/{found.removed[0]}",
                hint="they are in the base, and so in the new jail",
                evidence=_shown(found.removed),
            )
        )
    return problems


def _shown(paths: tuple[str, ...]) -> tuple[str, ...]:
    more = (f"and {len(paths) - _TOLD} more",) if len(paths) > _TOLD else ()
    return (*(f"/{path}" for path in paths[:_TOLD]), *more)


def volumes(mounts: Iterable[ForeignMount]) -> tuple[dict[str, Volume], dict[str, str], list[Problem]]:
    """Return the volumes of the new jail, the folders that each begins with, and which mounts cannot be one."""
    found: dict[str, Volume] = {}
    sources: dict[str, str] = {}
    left = []
    for mount in mounts:
        why = _no_volume(mount)
        if why:
            left.append(not_mounted(mount, why))
            continue
        name = _volume_name(mount.target, found)
        found[name] = Volume(path=mount.target)
        sources[name] = mount.source
    return found, sources, left


def _no_volume(mount: ForeignMount) -> str:
    if mount.kind not in {"nullfs", "zfs"}:
        return f"it is of {mount.kind}"
    if mount.readonly:
        return "it is read-only, as nothing in a jail of jaild is but its layers"
    return pathrules.not_for_a_volume(mount.target)


def not_mounted(mount: ForeignMount, why: str) -> Problem:
    """Return that a mount of the old jail is none of the new one."""
    return Problem(
        severity=Severity.WARNING,
        code="MOUNT_NOT_ADOPTED",
        message=f"{mount.source} is not mounted on {mount.target} of the new jail: {why}",
        subject=mount.target,
        hint="put what is needed of it into a volume or a release",
    )


def _volume_name(target: str, taken: Mapping[str, Volume]) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "-", target.strip("/").lower()).strip("-")[:28]
    name = plain if plain[:1].isalpha() else f"v-{plain}"
    number = 1
    while True:
        try:
            if name not in taken:
                return names.volume(name)
        except InvalidArgumentError:  # kept for jaild
            plain = name
        number += 1
        name = f"{plain}-{number}"


def copied(jail: ForeignJail) -> Problem:
    """Return the note that data is copied while the jail is down."""
    return Problem(
        severity=Severity.WARNING,
        code="DATA_IS_COPIED",
        message=f"{jail.places.own} is no dataset of jaild's pool: the data is copied while the jail is down",
        subject="/var",
        hint="stop it when that may take its time",
    )
