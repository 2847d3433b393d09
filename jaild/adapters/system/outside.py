"""What wears out, asked of zpool(8) and openssl(1) (implements `jaild.ports.outside.Outside`)."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jaild.model.errors import InternalError, JaildError
from jaild.ports.outside import PoolStatus
from jaild.ports.process import Processes
from jaild.rpc.tls import TlsFiles

_TIMEOUT = 20.0  # seconds: a suspended pool answers never
_KINDS = ("read", "write", "checksum")
_STATE = re.compile(r"^ *state: (\S+)", re.MULTILINE)
# OpenZFS: `scan: scrub repaired 0B in 00:00:01 with 0 errors on DATE`; zfs-fuse: `scrub completed after ... on DATE`.
_SCRUBBED = re.compile(
    r"^ *(?:scan|scrub): scrub (?:repaired|completed).* on (\w+ \w+ +\d+ [\d:]+ \d{4})$", re.MULTILINE
)
_DEVICE = re.compile(r"^\t *\S+ +[A-Z]+ +([\d.]+[KMGTPE]?) +([\d.]+[KMGTPE]?) +([\d.]+[KMGTPE]?)", re.MULTILINE)
_DATA_ERRORS = re.compile(r"^errors: (\d+) data errors", re.MULTILINE)


class HostPrograms:
    """Asks the programs, about this pool and the certificates that `files` returns by their settings."""

    def __init__(self, processes: Processes, pool: str, files: Callable[[], Mapping[str, TlsFiles]]) -> None:
        self._processes = processes
        self._pool = pool
        self._files = files

    async def pool(self) -> PoolStatus:
        """Ask zpool-status(8)."""
        return status(self._pool, (await self._processes.run(("zpool", "status", self._pool), timeout=_TIMEOUT)).text)

    async def certificates(self) -> dict[str, float]:
        """Ask openssl-x509(1)."""
        found = {}
        for setting, files in self._files().items():
            try:
                found[setting] = await self._end(files.certificate)
            except JaildError:  # who connects is told
                continue
        return found

    async def _end(self, certificate: Path) -> float:
        argv = ("openssl", "x509", "-noout", "-enddate", "-in", str(certificate))
        answer = (await self._processes.run(argv, timeout=_TIMEOUT)).text
        return float(ssl.cert_time_to_seconds(answer.strip().partition("=")[2]))


def status(pool: str, text: str) -> PoolStatus:
    """Return what zpool-status(8) says. `InternalError` (COMMAND_FAILED) for what it does not say."""
    state = _STATE.search(text)
    if state is None:
        raise InternalError(
            "COMMAND_FAILED",
            f"zpool status {pool} does not tell its state",
            hint="see what it prints",
            resource=pool,
        )
    rows = [tuple(map(_count, row)) for row in _DEVICE.findall(text)]
    scrubbed, damaged = _SCRUBBED.search(text), _DATA_ERRORS.search(text)
    return PoolStatus(
        pool=pool,
        health=state[1],
        errors={kind: sum(row[place] for row in rows) for place, kind in enumerate(_KINDS)},
        data_errors=int(damaged[1]) if damaged else 0,
        scrubbed=time.mktime(time.strptime(scrubbed[1])) if scrubbed else None,  # in this host's time zone
    )


def _count(text: str) -> int:
    """Return a number as zpool(8) shortens it: 12, 1.50K."""
    power = "KMGTPE".find(text[-1]) + 1
    return round(float(text[:-1]) * 1024**power) if power else int(text)
