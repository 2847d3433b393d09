"""Use cases of jails that answer from lists and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from jaild.jailfiles.service import Copied, Destination
from jaild.jailkeys.service import JailKeysView
from jaild.jails.templates import Template
from jaild.model.errors import NotFoundError
from jaild.model.filerecords import Data, Entry, Kind, Record
from jaild.model.jails.logtimes import LogPiece, LogQuery
from jaild.model.jails.spec import Encryption, JailSpec
from jaild.model.layers.records import Generation
from jaild.model.operation import Operation
from jaild.model.views import Caller, JailStats, JailView, VolumeView
from jaild.ports.process import TerminalSize
from jaild.ports.runtime import Input, Output
from jaild.ports.zfs import Key
from tests.fakes.use_cases.made import not_found
from tests.fakes.use_cases.remembering import Fake, asked


class FakeJails(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.jails: dict[str, JailView] = {}
        self.history: tuple[Generation, ...] = ()
        self.stdin = b""
        self.logs_closed = asyncio.Event()
        self.accepting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.accepted = asyncio.Event()

    async def create(
        self, name: str, spec: JailSpec, /, *, stopped: bool, validate_only: bool, caller: Caller
    ) -> Operation:
        return self.operate("create", name, spec, stopped=stopped, validate_only=validate_only, caller=caller)

    def get(self, name: str, /) -> JailView:
        if name not in self.jails:
            raise not_found(f"jails/{name}")
        return self.jails[name]

    def names(self) -> list[str]:
        return sorted(self.jails)

    def list(self, names: Sequence[str] | None = None, /) -> list[JailView]:
        return [self.jails[name] for name in (self.names() if names is None else names)]

    async def delete(self, name: str, /, *, force: bool, etag: str, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", name, force=force, etag=etag, validate_only=validate_only, caller=caller)

    async def start(self, name: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("start", name, caller=caller, **asked(validate_only=validate_only))

    async def stop(
        self, name: str, /, *, validate_only: bool = False, caller: Caller, force: bool = False
    ) -> Operation:
        return self.operate(
            "stop", name, caller=caller, **asked(validate_only=validate_only), **({"force": True} if force else {})
        )

    async def restart(self, name: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        self.accepting.set()
        await self.go_on.wait()
        self.accepted.set()
        return self.operate("restart", name, caller=caller, **asked(validate_only=validate_only))

    def _change(
        self, method: str, to: tuple[object, ...], confirm_within: float, *, stage: bool, force: bool, **asked: object
    ) -> Operation:
        how = {"confirm_within": confirm_within, "stage": stage, "force": force}
        return self.operate(method, *to, **asked, **{key: value for key, value in how.items() if value})

    async def deploy(
        self,
        name: str,
        release: str,
        /,
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        asked = {"etag": etag, "validate_only": validate_only, "caller": caller}
        return self._change("deploy", (name, release), confirm_within, stage=stage, force=force, **asked)

    async def upgrade(
        self,
        name: str,
        base: str,
        channel: str = "",
        /,
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        asked = {"etag": etag, "validate_only": validate_only, "caller": caller}
        return self._change("upgrade", (name, base, channel), confirm_within, stage=stage, force=force, **asked)

    async def configure(
        self,
        name: str,
        spec: JailSpec,
        /,
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        asked = {"etag": etag, "validate_only": validate_only, "caller": caller}
        return self._change("configure", (name, spec), confirm_within, stage=stage, force=force, **asked)

    async def rollback(
        self,
        name: str,
        /,
        *,
        generation: int,
        axis: str,
        etag: str,
        validate_only: bool,
        caller: Caller,
        stage: bool = False,
    ) -> Operation:
        kept = {"generation": generation, "axis": axis, "etag": etag, "stage": stage}
        return self.operate("rollback", name, validate_only=validate_only, caller=caller, **kept)

    async def generations(self, name: str, /) -> tuple[Generation, ...]:
        self.get(name)
        return self.history

    async def render_template(self, name: str, values: Mapping[str, str], /) -> str:
        self.seen("render_template", name, dict(values))
        return f"base: {values['base']}\n"

    async def exec(
        self,
        name: str,
        command: tuple[str, ...],
        /,
        *,
        environment: Mapping[str, str],
        user: str | None,
        inputs: AsyncIterator[Input],
        terminal: TerminalSize | None,
    ) -> AsyncIterator[Output]:
        shown = {} if terminal is None else {"terminal": terminal}
        self.seen("exec", name, command, environment=environment, user=user, **shown)
        async for piece in inputs:
            yield Output(stdout=piece.upper() if isinstance(piece, bytes) else repr(piece).encode())
            if command[0] == "stay":
                await asyncio.Event().wait()
        yield Output(stderr=b"bye", exit_status=int(command[-1]) if command[-1].isdigit() else 0)
        if command[0] == "linger":
            await asyncio.Event().wait()

    async def logs(self, name: str, asked: LogQuery, /, *, here: bool = False) -> AsyncIterator[LogPiece]:
        self.seen("logs", name, asked, here)
        try:
            yield LogPiece(data=b"first\n", after=2.5, by=4.0)
            if asked.follow:
                await asyncio.Event().wait()
        finally:
            self.logs_closed.set()


class FakeConfirmations(Fake):
    async def confirm(self, name: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("confirm", name, caller=caller, **asked(validate_only=validate_only))

    async def revert(self, name: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("revert", name, validate_only=validate_only, caller=caller)


class FakeStaging(Fake):
    async def cutover(self, name: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("cutover", name, validate_only=validate_only, caller=caller)

    async def unstage(self, name: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("unstage", name, caller=caller, **asked(validate_only=validate_only))


class FakeStats:
    """Measures what it was given."""

    def __init__(self) -> None:
        self.measured: list[JailStats] = []
        self.asked: list[list[str]] = []

    async def measure(self, names: Sequence[str], /) -> list[JailStats]:
        self.asked.append(list(names))
        return self.measured


class FakeTemplates(Fake):
    """Has one."""

    one = Template("redis", "base: '${base}'\n", "A Redis.", ("base",))

    async def list(self) -> list[Template]:
        return [self.one]

    async def get(self, name: str, /) -> Template:
        if name != self.one.name:
            raise NotFoundError("TEMPLATE_NOT_FOUND", f"there is no template {name}", hint="there are: redis")
        return self.one


class FakeJailFiles(Fake):
    async def read(self, name: str, path: str, caller: Caller) -> AsyncIterator[list[Record]]:
        self.seen("read", name, path, caller=caller)
        yield [Entry(path=b"", kind=Kind.FILE, size=1), Data(0, b"x")]

    async def destination(self, name: str, wanted: Destination, caller: Caller) -> str:
        self.seen("destination", name, wanted, caller=caller)
        return f"{wanted.path}/x"

    async def write(
        self, name: str, wanted: Destination, batches: AsyncIterator[list[Record]], caller: Caller
    ) -> Copied:
        records = [record async for batch in batches for record in batch]
        self.seen("write", name, wanted, records, caller=caller)
        return Copied(path=f"{wanted.path}/x", entries=1, bytes=7)


class FakeVolumes(Fake):
    async def list(self, name: str = "") -> list[VolumeView]:
        self.seen("list", name)
        return [VolumeView(jail="web", name="cache", used=5, generations=(1, 2))]

    async def remove(self, name: str, volume: str, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("remove", name, volume, validate_only=validate_only, caller=caller)


class FakeJailKeys(Fake):
    """Every jail is encrypted; `available`: its key is loaded."""

    available = False

    def _view(self) -> JailKeysView:
        root = "tank/jaild/jails/web/data"
        return JailKeysView(Encryption(key="customers"), {"data": Key(root=root, available=self.available)})

    async def get(self, name: str, /) -> JailKeysView:
        self.seen("get", name)
        return self._view()

    async def load(self, name: str, key: bytes, /, *, validate_only: bool) -> JailKeysView:
        self.seen("load", name, key, **asked(validate_only=validate_only))
        self.available = not validate_only
        return self._view()

    async def unload(self, name: str, /, *, validate_only: bool) -> JailKeysView:
        self.seen("unload", name, **asked(validate_only=validate_only))
        self.available = self.available and validate_only
        return self._view()
