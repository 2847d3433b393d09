"""What every `Zfs` does, as cases. An adapter's test module subclasses `ZfsContract` and says what `host` is."""

from __future__ import annotations

from tests.contract.zfs_dataset_cases import DatasetCases, MountedCases
from tests.contract.zfs_key_cases import KeyCases
from tests.contract.zfs_owned_cases import OwnedCases
from tests.contract.zfs_rich_cases import RichCases
from tests.contract.zfs_stream_cases import StreamCases


class ZfsContract(DatasetCases, StreamCases, OwnedCases, RichCases, KeyCases):
    """The whole of it; `host` is a fixture that returns a `ZfsHost`."""


class LocalZfsContract(ZfsContract, MountedCases):
    """The same, and what only a `host` shows whose file systems are this machine's."""
