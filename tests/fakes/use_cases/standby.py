"""Use cases of replicas and failovers that answer and remember what they were asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.model.foreign.wish import Wish
from jaild.model.migration.party import About
from jaild.model.migration.protocol import DatasetState, Received, ReceiveHeader
from jaild.model.operation import Operation
from jaild.model.problems import Problem, Severity
from jaild.model.replication.protocol import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.model.salvage import Loss, Report
from jaild.model.views import Caller
from jaild.ports.salvage import Written
from tests.fakes.use_cases.remembering import Fake, asked


class FakeParties(Fake):
    """Who may speak: everybody, unless there is a refusal."""

    async def require_party(self, speaker: str, about: About, /) -> None:
        self.seen("require_party", speaker, about)


class FakeReplicas(Fake):
    """What other hosts ask about replicas."""

    refused = (Problem(severity=Severity.ERROR, code="FENCED_COPY", message="m", hint="r"),)

    def __init__(self) -> None:
        super().__init__()
        self.state = ReplicaState(
            missing_layers=("bases/a",),
            datasets=(DatasetState(path="data", snapshot_guids=(7, (1 << 64) - 1)),),
            round="standby-3-1",
            taken=5.5,
        )

    async def offer(self, offer: ReplicaOffer, /) -> ReplicaState:
        self.seen("offer", offer)
        return self.state

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Received:
        self.seen("receive", header)
        return Received(guid=header.guid, bytes=sum([len(chunk) async for chunk in chunks]))

    async def roll_back(self, wanted: RollBack, /) -> int:
        self.seen("roll_back", wanted)
        return 2

    async def complete(self, whole: WholeRound, /) -> None:
        self.seen("complete", whole)

    async def withdraw(self, jail: str, uid: str, epoch: int, /) -> None:
        self.seen("withdraw", jail, uid, epoch)

    async def ownership(self, jail: str, uid: str, /) -> Known:
        self.seen("ownership", jail, uid)
        return Known(state="standby", owner="id-alpha", owner_name="alpha", epoch=3, taken=5.0)

    async def supersede(self, told: Supersession, /) -> int:
        self.seen("supersede", told)
        return told.epoch


class FakePromotions(Fake):
    """Promote, adopt, confirm; and what the owner is asked."""

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str, /) -> HandingOver:
        self.seen("hand_over", jail, uid, target, request_id)
        return HandingOver(message="seed round 0")

    def handing_over(self, target: str, jail: str, request_id: str, /) -> HandingOver:
        self.seen("handing_over", target, jail, request_id)
        return HandingOver(done=True)

    async def promote(
        self, name: str, /, *, owner_is_down: bool, confirm: str, validate_only: bool, caller: Caller
    ) -> Operation:
        self.seen("promote", name, owner_is_down, confirm, validate_only, caller.request_id)
        return Operation(id="p1", kind="promote", target=f"jails/{name}")

    async def adopt(self, name: str, /, *, confirm: str, validate_only: bool, caller: Caller) -> Operation:
        self.seen("adopt", name, confirm, validate_only, caller.request_id)
        return Operation(id="a1", kind="adopt", target=f"jails/{name}")

    async def force_start(
        self, name: str, sentence: str, /, *, validate_only: bool = False, caller: Caller
    ) -> Operation:
        self.seen("force_start", name, sentence, caller.request_id, **asked(validate_only=validate_only))
        return Operation(id="c1", kind="start", target=f"jails/{name}")


class FakeAdoptions(Fake):
    """Adoptions of jails that other tools made."""

    async def adopt(self, wish: Wish, /, *, validate_only: bool, caller: Caller) -> Operation:
        self.seen("adopt", wish, validate_only, caller.request_id, caller.accepted)
        return Operation(id="f1", kind="adopt-foreign", target=f"jails/{wish.jail}")


class FakeSalvages(Fake):
    """Salvages, asked of the source."""

    async def salvage(self, name: str, target: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        self.seen("salvage", name, target, validate_only, caller.request_id)
        return Operation(id="s1", kind="salvage", target=f"jails/{name}")


class FakeFiles(Fake):
    """Salvages, as a target takes them."""

    known = Report(
        source="alpha", at=5.0, entries=7, losses=(Loss(path="data/x", lost=False, reason="r", ranges=((0, 4096),)),)
    )

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Written:
        self.seen("receive", header)
        return Written(entries=sum([len(chunk) async for chunk in chunks]), sha256="ab")

    async def finish(self, migration: str, text: str, /) -> dict[str, int]:
        self.seen("finish", migration, text)
        return {"": 1, "data": (1 << 64) - 1}

    async def report(self, name: str, /) -> Report:
        self.seen("report", name)
        return self.known
