"""The room of metrics on a host in this process."""

from __future__ import annotations

from collections.abc import Mapping

from jaild.adapters.system.outside import status
from jaild.metrics import build as room
from jaild.metrics.build import MetricsParts
from jaild.metrics.listener import Listener
from jaild.model.access import Grant
from jaild.ports.outside import PoolStatus
from tests.fakes.host import InProcessHost

DEGRADED = """\
  pool: tank
 state: DEGRADED
  scan: scrub repaired 0B in 00:00:01 with 0 errors on Sun Nov  9 12:00:00 2025
config:

\tNAME        STATE     READ WRITE CKSUM
\ttank        DEGRADED     0     0     0
\t  mirror-0  DEGRADED     0     0     2
\t    da0     ONLINE       1     0 1.50K
\t    da1     UNAVAIL      0     4     0  cannot open

errors: 2 data errors, use '-v' for a list
"""


class Outside:
    """Implements `jaild.ports.outside.Outside`: a pool that begins to fail."""

    async def pool(self) -> PoolStatus:
        """Answer."""
        return status("tank", DEGRADED)

    async def certificates(self) -> Mapping[str, float]:
        """Answer."""
        return {"listen.tls": 2e9}


def metrics_of(
    host: InProcessHost,
    listener: Listener | None = None,
    grants: Mapping[str, Grant] | None = None,
) -> MetricsParts:
    """Put the room together for a host that runs."""
    core = host.core.rooms
    where = listener or Listener(address="127.0.0.1:0")
    return room.build(
        core.engine, core.jails, core.transfer, core.rollouts, core.sinks, core.host, Outside(), where, grants or {}
    )
