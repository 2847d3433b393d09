r"""A run as a jail.conf(5) of its own: pure, so that it can be read in a test.

Every value is written in single quotes, in which nothing is expanded; of the backslash codes that jail.conf(5) knows
only `\\`, `\'` and `\n` are needed (usr.sbin/jail/jaillex.l takes every other byte as it is; no argument holds a NUL).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaild.adapters.freebsd.records import boots
from jaild.ports.runtime import RunSpec

Value = str | Sequence[str] | None  # None: a boolean that is on
# What `PRIVILEGES` of a spec lists, in jail(8)'s words. `new`: the jail's own, out of sight of the host's.
ALLOW: Mapping[str, Mapping[str, Value]] = {
    "raw_sockets": {"allow.raw_sockets": None},
    "sysvipc": {"sysvmsg": "new", "sysvsem": "new", "sysvshm": "new"},
    "mlock": {"allow.mlock": None},
    "socket_af": {"allow.socket_af": None},
}
META = "security.jail.meta_maxbufsize"  # of sysctl(8): a kernel that knows it keeps `meta` (15.1: kern_jailmeta.c)
_HEAD = "# {name}: written by jaild before each start, read by jail(8) at start and stop. Do not edit.\n"


def quote(value: str) -> str:
    """Return `value` as a string that jail(8) reads back unchanged."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def render(name: str, parameters: Mapping[str, Value]) -> str:
    """Return a jail's block. `name` and the parameters' names are words of ours, never a user's."""
    lines = (f"\t{key}{_assigned(value)};\n" for key, value in parameters.items())
    return f"{name} {{\n{''.join(lines)}}}\n"


def config(
    run: RunSpec,
    name: str,
    root: Path,
    network: Mapping[str, Value],
    network_commands: Sequence[str],
    *,
    tagged: bool = False,
) -> str:
    """Return the whole file, for a jail called `name`.

    `network` are jail(8)'s own parameters, `network_commands` what sets addresses from inside, before anything else
    runs there. A command that is not FreeBSD's boot is not here: jaild starts it itself when the jail is there. With
    `tagged` the kernel, from 15 on (`META`), is told whose the jail is; the jail does not see it.
    """
    parameters: dict[str, Value] = {"path": str(root), "host.hostname": run.hostname}
    if tagged:
        parameters["meta.jaild"] = f"{run.name} {run.uid}"
    if run.osrelease:
        parameters |= {"osrelease": run.osrelease, "osreldate": str(run.osreldate)}
    # Without persist the kernel would remove the jail between `jail -c` and the command's first process.
    parameters |= {"persist": None, **network}
    for allowed in run.allow:
        parameters |= ALLOW[allowed]
    commands = [*network_commands]
    if boots(run):
        commands.append("/bin/sh /etc/rc")
    elif run.linker_hints:
        # As /etc/rc would do it, and as little of a reason not to start. The hints are in /var/run, the jail's data: so
        # each start makes them, whichever generation was there last.
        commands.append("/bin/sh /etc/rc.d/ldconfig quietstart || :")
    if commands:
        # Without exec.clean, which looks up root in the jail's pwd.db, and not every base has one. jaild starts jail(8)
        # with nothing but PATH and LC_ALL.
        parameters["exec.start"] = commands
    if boots(run):
        stop = "/bin/sh /etc/rc.shutdown jail"
        parameters |= {"exec.clean": None, "exec.consolelog": str(run.log), "exec.stop": stop}
    # Whoever had to be asked to end was asked (exec.stop, or the spec's signal); the removal kills the rest.
    parameters["stop.timeout"] = "0"
    return _HEAD.format(name=run.name) + render(name, parameters)


def _assigned(value: Value) -> str:
    if value is None:
        return ""
    values = [value] if isinstance(value, str) else value
    return f" = {', '.join(map(quote, values))}"
