"""Commands in a jail as argument lists: pure.

Nothing of the spec's environment is set outside the jail: LD_PRELOAD there would run a jail's library as the host's
root. So env(1) of the jail sets it, from nothing. Its values are secrets, and all may read argument lists (ps(1)):
they come to it in the environment after all, under names that mean nothing to anybody, JAILD_0, JAILD_1. -S of env(1)
puts them in place of ${JAILD_0}, as they are and unsplit, before -i takes effect (usr.bin/env/envopts.c).

Users are resolved in the tree's own passwd and given as numbers to chroot(8) of the jail, since `jexec -U` knows names
only, needs pwd.db, and has no way to name a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.runtime.accounts import Account
from jaild.model.errors import InvalidArgumentError
from jaild.ports.runtime import RunSpec

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SETUP = frozenset({"jexec", "chroot", "env"})  # names of a process on its way to its command


@dataclass(frozen=True)
class Program:
    """What is to be started on the host: `environment` is of that process, to be added to a minimal one."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def inside(
    jid: int, run: RunSpec, account: Account, command: tuple[str, ...], environment: Mapping[str, str] | None = None
) -> Program:
    """Return what runs `command` in the jail `jid`; `environment` is added to the run's own.

    Each program becomes the next, so that the process that was started is the command at the end.
    Raises `InvalidArgumentError` (COMMAND_UNSUPPORTED) for a program whose name env(1) would take for a variable.
    """
    if "=" in command[0]:
        raise InvalidArgumentError(
            "COMMAND_UNSUPPORTED",
            f"{command[0]!r} cannot be started: env(1) takes a name with = in it for a variable",
            hint="rename the program, or start it from a script",
            resource=run.name,
        )
    merged = {"PATH": _PATH, "HOME": account.home, **run.environment, **(environment or {})}
    variables = " ".join(f"{name}=${{JAILD_{number}}}" for number, name in enumerate(merged))
    return Program(
        ("jexec", str(jid), *_as(account), "/usr/bin/env", "-i", "-S", variables, *command),
        {f"JAILD_{number}": value for number, value in enumerate(merged.values())},
    )


def supervised(command: Program, *, title: str, log: Path, pid_file: Path) -> Program:
    """Return what starts `command` as nobody's child, its output appended to `log`, its pid in `pid_file`.

    daemon(8) on the host, so that neither log nor pid file is in the jail's reach. It ends with the command.
    """
    argv = ("daemon", "-f", "-o", str(log), "-p", str(pid_file), "-t", title, *command.argv)
    return Program(argv, command.environment)


def _as(account: Account) -> tuple[str, ...]:
    if (account.uid, account.gid) == (0, 0):
        return ()
    # The first group is the effective one to setgroups(2); without -G those of the daemon would stay.
    groups = ",".join(map(str, (account.gid, *account.groups)))
    return ("/usr/sbin/chroot", "-u", str(account.uid), "-g", str(account.gid), "-G", groups, "/")
