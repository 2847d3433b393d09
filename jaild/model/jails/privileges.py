"""What a spec may ask for beyond what every jail may: `allow`, a list that was reviewed one by one.

What is not here stays forbidden, since it reaches beyond the jail: `mount.*` (the daemon mounts), `chflags` (immutable
files in a jail's data outlive it), `read_msgbuf` and `vmm` (the host's), `settime` and `adjtime` (the host's clock),
`nfsd`, `quotas`, `routing`, and child jails.
"""

from __future__ import annotations

from collections.abc import Iterator

ALLOWED = {
    "raw_sockets": "raw sockets: ping, traceroute; in mode shared it sees the host's packets too",
    "sysvipc": "System V messages, semaphores and shared memory, of the jail's own: PostgreSQL",
    "mlock": "memory that is never paged out: keys, databases; counts against limits.memory",
    "socket_af": "sockets of other families than IPv4, IPv6, local and route",
}


def mistakes(allow: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield path and message of each entry of `$.allow` that is not on the list, or twice."""
    for index, name in enumerate(allow):
        if name not in ALLOWED:
            yield f"$.allow[{index}]", f"{name!r} is not what a jail can be allowed; there are {', '.join(ALLOWED)}"
        elif name in allow[:index]:
            yield f"$.allow[{index}]", f"{name} is there twice"
