"""Makes vaults by their settings (implements `jaild.ports.backups.Vaults`)."""

from __future__ import annotations

from jaild.adapters.backups.directory import DirectoryVault
from jaild.adapters.backups.over_ssh import OverSsh
from jaild.adapters.backups.pool import PoolVault
from jaild.adapters.zfs.cli import CliZfs
from jaild.model.backups.targets import TargetSettings
from jaild.ports.backups import Vault
from jaild.ports.process import Processes


class VaultAdapters:
    """What there is."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def make(self, settings: TargetSettings) -> Vault:
        """Return one; see the port."""
        if settings.directory is not None:
            return DirectoryVault(settings.directory)
        if settings.ssh is None:
            raise TypeError(settings)  # one of the two is there: TargetSettings.__post_init__
        return PoolVault(CliZfs(OverSsh(self._processes, settings.ssh)), settings.ssh.dataset)
