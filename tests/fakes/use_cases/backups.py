"""Use cases of snapshots that answer from lists and remember what they were asked."""

from __future__ import annotations

from jaild.backups.restores import Wanted
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
