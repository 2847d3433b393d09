"""Which boot of the host this is, as its kernel says (implements `jaild.ports.bootid`)."""

from __future__ import annotations

import sys
from pathlib import Path

from jaild.ports.process import Processes

_LINUX = Path("/proc/sys/kernel/random/boot_id")  # random(4)
FREEBSD = ("sysctl", "-b", "kern.boot_id")  # 16 random bytes, from 13.0; kern.boottime moves with the clock


class KernelBootId:
    """Asks the kernel."""

    def __init__(self, processes: Processes, *, platform: str = sys.platform) -> None:
        self._processes = processes
        self._platform = platform

    async def read(self) -> str:
        """Return it; '' where the kernel does not tell."""
        if self._platform.startswith("freebsd"):
            answer = await self._processes.run(FREEBSD, check=False)
            return answer.stdout.hex() if answer.status == 0 else ""
        return _LINUX.read_text("ascii").strip() if _LINUX.exists() else ""
