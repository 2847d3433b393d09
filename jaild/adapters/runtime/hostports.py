"""Whether a port of the host is free to lead into a jail: asked of the kernel, by taking it for a moment."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence

from jaild.adapters.runtime.refusals import FIELD
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails import network as netcheck
from jaild.model.jails.spec import Port

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def problems(ports: Sequence[Port], resource: str) -> list[JaildError]:
    """Return what keeps ports from leading into a jail: PORT_TAKEN by a program of the host, NETWORK_MISSING.

    A redirect takes a port's packets before any program sees them: without this, a spec could take the host's sshd.
    """
    found: list[JaildError] = []
    for index, port in enumerate(ports):
        failed = _bind(port)
        where = {FIELD: f"$.network.ports[{index}]"}
        if failed == errno.EADDRINUSE:
            found.append(
                FailedPreconditionError(
                    "PORT_TAKEN",
                    f"a program of the host listens on {netcheck.spoken_port(port)}",
                    hint="choose another port, or end that program: `sockstat -l` on FreeBSD, `ss -lntup` on Linux",
                    resource=resource,
                    detail=where,
                )
            )
        elif failed:
            found.append(
                FailedPreconditionError(
                    "NETWORK_MISSING",
                    f"{port.address} is not an address of this host",
                    hint="name one that it has, or none for all of them",
                    resource=resource,
                    detail=where,
                )
            )
    return found


def unsupported(why: str, hint: str, resource: str) -> FailedPreconditionError:
    """Return PORTS_UNSUPPORTED: this host redirects nothing."""
    return FailedPreconditionError(
        "PORTS_UNSUPPORTED",
        f"no port of the host can lead into a jail: {why}",
        hint=f"{hint}; or take network.ports out of the spec",
        resource=resource,
        detail={FIELD: "$.network.ports"},
    )


def _bind(port: Port) -> int:
    """Return the errno of the first failure; 0 if the port could be had."""
    if port.address is None:
        # A host may be without IPv6: what it has not is not taken.
        refused = [_try(socket.AF_INET, "0.0.0.0", port), _try(socket.AF_INET6, "::", port)]  # noqa: S104 - no packet is read
        return errno.EADDRINUSE if errno.EADDRINUSE in refused else 0
    return _try(socket.AF_INET6 if ":" in port.address else socket.AF_INET, port.address, port)


def _try(family: socket.AddressFamily, address: str, port: Port) -> int:
    try:
        with socket.socket(family, _KINDS[port.protocol]) as one:
            if family is socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if sys.platform.startswith("linux"):  # else connections in TIME_WAIT would count; on FreeBSD they do not
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port.host))
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return 0
