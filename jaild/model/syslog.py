"""Words of syslog, RFC 5424, and where its receivers are: what event sinks and jails' logs have in common."""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

Facility = Literal[  # in the order of their numbers, as the severities: RFC 5424, 6.2.1
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "security", "console", "clock",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
# Of a jail's: with kern or auth it would speak as the host itself.
JailFacility = Literal[
    "user", "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
]  # fmt: skip
_SCHEMES = ("unix", "udp", "tcp")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a jail's log, or a part of one that is too long for a message."""

    facility: Facility
    severity: Severity
    time: float  # by when it was written, in seconds since the epoch
    host: str
    tag: str  # APP-NAME
    jail: str  # the jail's uid: PROCID, which another jail of the same name has not
    position: int  # of its end in the log: the same for each delivery of the same line
    text: bytes


def place(address: str) -> tuple[str, str, int, str]:
    """Return the kind (unix, udp, tcp), host and port, or the socket's path. `ValueError` for what is no address."""
    at = split(address)
    scheme, host, port, path = at.scheme, at.hostname or "", at.port or 0, at.path
    if scheme not in _SCHEMES or (not path.startswith("/") if scheme == "unix" else not host or not port or path):
        raise ValueError(f"{address} is no address: give unix:/path, udp://host:port or tcp://host:port")
    return scheme, host, port, path


def split(address: str) -> SplitResult:
    """Return an address in its parts. `ValueError` for a port that is none."""
    at = urlsplit(address)
    try:
        _ = at.port
    except ValueError as error:
        raise ValueError(f"{error}: give a port from 1 to 65535") from None
    return at
