"""Use cases of snapshots that answer from lists and remember what they were asked."""

from __future__ import annotations

from collections.abc import Mapping

from jaild.backups.restores import Wanted
from jaild.model.backups.records import Backup
from jaild.model.operation import Operation
from jaild.model.views import Caller, SnapshotView
from tests.fakes.use_cases.remembering import Fake


class FakeSnapshots(Fake):
    async def list(self, name: str) -> list[SnapshotView]:
        self.seen("list", name)
        hand = SnapshotView(jail="web", tag="mine", created=5.0, used=7, purpose="manual/alice", parts=(".", "data"))
        return [SnapshotView(jail="web", tag="autosnap", created=4.0, atomic=False, held=1), hand]

    async def take(self, name: str, tag: str, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("take", name, tag, validate_only=validate_only, caller=caller)

    async def remove(self, name: str, tag: str, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("remove", name, tag, validate_only=validate_only, caller=caller)


class FakeRestores(Fake):
    async def restore(self, name: str, wanted: Wanted, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("restore", name, wanted, validate_only=validate_only, caller=caller)


class FakeBackups(Fake):
    def targets(self) -> Mapping[str, str]:
        return {"vault": "backup@192.0.2.1:tank/jaild"}

    async def list(self, target: str, jail: str = "") -> list[Backup]:
        self.seen("list", target, jail)
        return []

    async def back_up(self, name: str, target: str, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("back_up", name, target, validate_only=validate_only, caller=caller)

    async def restore(
        self, target: str, jail: str, name: str, at: str | float, *, validate_only: bool, caller: Caller
    ) -> Operation:
        return self.operate("restore", target, jail, name, at, validate_only=validate_only, caller=caller)
