"""Whether the copy of a jail that is here can be continued: told in the plan, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from jaild.engine.inventory import Inventory
from jaild.model.errors import NotFoundError
from jaild.model.findings import Finding, Severity
from jaild.model.migration.protocol import Offer
from jaild.model.snapshots import told
from jaild.ports.zfs import Snapshot, Zfs


class CopyCheck:
    """Looks at copies. Changes nothing."""

    def __init__(self, inventory: Inventory, zfs: Zfs) -> None:
        self._inventory = inventory
        self._zfs = zfs

    async def findings(self, offer: Offer) -> list[Finding]:
        """Find what others made of, or wrote to, the copy that an increment of this jail would go onto."""
        found: list[Finding] = []
        for dataset in offer.jail.datasets:
            name = self._inventory.where.part(offer.jail.name, dataset.path)
            try:
                snapshots = await self._zfs.snapshots(name)
            except NotFoundError:
                continue
            own = [place for place, snapshot in enumerate(snapshots) if snapshot.purpose]
            if own:  # that is where it was left; what is later others have made
                found += await self._since(snapshots[own[-1]], snapshots[own[-1] + 1 :], offer.jail.name)
        return found

    async def _since(self, last: Snapshot, later: Sequence[Snapshot], jail: str) -> list[Finding]:
        host, names = self._inventory.host_name, tuple(snapshot.name for snapshot in later)
        if not await self._zfs.is_unchanged(last.name):
            finding = Finding(
                severity=Severity.ERROR,
                code="COPY_MODIFIED",
                message=f"on {host} somebody wrote to {last.dataset} after @{last.tag}: no increment fits on that",
                subject=f"jails/{jail}",
                remedy=f"save what was written; then, on {host}: zfs rollback -r {last.name}, or finalize that copy",
                evidence=names,
            )
            return [finding]
        if not later:
            return []
        finding = Finding(
            severity=Severity.NOTE,
            code="FOREIGN_SNAPSHOTS",
            message=f"snapshots that jaild did not make are on {host}: {told(names)}; nothing was written since "
            f"@{last.tag}, so they stay and are stepped over",
            subject=f"jails/{jail}",
            evidence=names,
        )
        return [finding]
