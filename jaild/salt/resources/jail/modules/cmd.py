"""``cmd`` in a jail, with the arguments of Salt's own that have a meaning there."""

from __future__ import annotations

import shlex
from typing import Any

__context__: dict[str, Any]
__resource_funcs__: dict[str, Any]


def run_all(
    cmd: Any,
    cwd: str | None = None,
    runas: str | None = None,
    python_shell: bool = True,
    env: dict[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> dict[str, Any]:
    """Run a command in the jail; return ``stdout``, ``stderr`` and ``retcode``.

    cmd
        A text that the jail's /bin/sh gets, or without ``python_shell`` its words; or a list.

    cwd
        The folder in the jail.

    runas
        Who runs it; the jail's own user if absent.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' cmd.run_all 'redis-cli ping'
    """
    if isinstance(cmd, list):
        argv = [str(word) for word in cmd]
    else:
        argv = ["/bin/sh", "-c", str(cmd)] if python_shell else shlex.split(str(cmd))
    if cwd:
        argv = ["/bin/sh", "-c", 'cd -- "$0" && exec "$@"', cwd, *argv]
    environment = {str(name): str(value) for name, value in (env or {}).items()}
    found: dict[str, Any] = __resource_funcs__["jail.execute"](argv, environment, runas, stdin.encode(), timeout)
    __context__["retcode"] = found["retcode"]
    return {**found, "stdout": found["stdout"].rstrip("\n"), "stderr": found["stderr"].rstrip("\n")}


def run(cmd: Any, **options: Any) -> str:
    """Run a command in the jail; return what it wrote, on stdout and stderr. The options are those of ``run_all``.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' cmd.run uptime
    """
    found = run_all(cmd, **_own(options))
    return "\n".join(part for part in (found["stdout"], found["stderr"]) if part)


def run_stdout(cmd: Any, **options: Any) -> str:
    """Run a command in the jail; return what it wrote on stdout."""
    return str(run_all(cmd, **_own(options))["stdout"])


def retcode(cmd: Any, **options: Any) -> int:
    """Run a command in the jail; return its status."""
    return int(run_all(cmd, **_own(options))["retcode"])


def _own(options: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller gave, without what Salt adds to functions that take anything."""
    return {name: value for name, value in options.items() if not name.startswith("__pub_")}
