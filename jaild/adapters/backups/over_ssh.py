"""Programs of another host, by ssh(1) (implements `jaild.ports.process.Processes` for what `CliZfs` runs).

sshd(8) has the user's shell there take a line of text apart: each word is quoted for it. No terminal is asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from jaild.model.backups.targets import Ssh
from jaild.model.errors import UnavailableError
from jaild.ports.process import Child, Completed, Errors, Processes, TerminalSize

_FAILED = 255  # ssh(1): its own status if an error occurred
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",  # a line that is cut is known after a minute
    "ServerAliveCountMax": "4",
}


class OverSsh:
    """Runs `zfs` there."""

    def __init__(self, processes: Processes, settings: Ssh, program: str = "ssh") -> None:
        self._processes = processes
        self._settings = settings
        self._program = program

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 120.0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,  # noqa: ARG002 -- the port's: of here, which ssh does not take along
        check: bool = True,
        output: Path | None = None,
    ) -> Completed:
        """Run to the end. `UnavailableError` (BACKUP_UNREACHABLE) if ssh itself fails."""
        line = self._line(argv)
        done = await self._processes.run(line, stdin=stdin, timeout=timeout, cwd=cwd, check=check, output=output)
        if done.status == _FAILED:
            said = (done.error_text.strip().splitlines() or ["ssh ended with status 255"])[-1]
            raise UnavailableError(
                "BACKUP_UNREACHABLE",
                f"{self._settings.destination}: {said}",
                hint="try it as the daemon's user, root: " + shlex.join(line),
            )
        return done

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,  # noqa: ARG002 -- as above
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AbstractAsyncContextManager[Child]:
        """Start with pipes."""
        return self._processes.start(self._line(argv), cwd=cwd, on_stderr=on_stderr, terminal=terminal, raw=raw)

    def _line(self, argv: Sequence[str]) -> list[str]:
        to = self._settings
        words = [*to.zfs, *argv[1:]] if argv[0] == "zfs" else list(argv)
        options = dict(_OPTIONS)
        if to.known_hosts is not None:
            options |= {"UserKnownHostsFile": str(to.known_hosts), "StrictHostKeyChecking": "yes"}
        if to.identity is not None:
            options |= {"IdentityFile": str(to.identity), "IdentitiesOnly": "yes"}
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        who = f"{to.user}@{to.host}" if to.user else to.host
        return [self._program, "-T", "-p", str(to.port), *given, "--", who, shlex.join(words)]
