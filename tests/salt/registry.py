"""How long Salt's own registry of resources takes for many jails: `build/salt/bin/python -m tests.salt.registry`.

Prints seconds to register all hosts with their jails, to register one of them again, and to look a jail up.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

from salt.utils.resource_registry import ResourceRegistry


def main(hosts: int = 10_000, jails: int = 20) -> None:
    """Fill a registry as the masters' workers do, a host at a time."""
    logging.getLogger("salt").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        registry = ResourceRegistry({"cachedir": folder})
        began, spent = time.perf_counter(), [0.0]
        for host in range(hosts):
            registry.register_minion(f"edge-{host}", {"jail": [f"jail-{host}-{number}" for number in range(jails)]})
            spent.append(time.perf_counter() - began)
        again = time.perf_counter()
        registry.register_minion("edge-7", {"jail": [f"jail-7-{number}" for number in range(jails)]})
        found = time.perf_counter()
        size = sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())
        sys.stdout.write(
            f"{hosts * jails} jails of {hosts} hosts: {spent[-1]:.1f} s in all, the first 1,000 hosts "
            f"{spent[min(1000, hosts)]:.1f} s; one host again {found - again:.3f} s; {size >> 20} MiB on disk\n"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
