"""What tests ask of a host, and what they look at afterwards."""

from __future__ import annotations

from collections.abc import Awaitable

from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.operation import Operation
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants

SPEC = JailSpec(base="deb-1", app="web/1")
_ZFS_CHANGES = frozenset(
    {
        "create",
        "clone",
        "set",
        "inherit",
        "snapshot",
        "destroy",
        "rename",
        "rollback",
        "hold",
        "release",
        "receive",
        "mark",
    }
)
_RUNTIME_CHANGES = frozenset({"create", "start", "stop", "remove"})


async def create(host: FakeHost, spec: JailSpec = SPEC, *, name: str = "web", stopped: bool = False) -> Operation:
    return await ended(
        host, host.core.use_cases.jails.create(name, spec, stopped=stopped, validate_only=False, caller=caller())
    )


async def deploy(
    host: FakeHost,
    release: str,
    *,
    name: str = "web",
    etag: str = "",
    confirm_within: float = 0.0,
    stage: bool = False,
) -> Operation:
    asked = host.core.use_cases.jails.deploy(
        name,
        release,
        etag=etag,
        validate_only=False,
        caller=caller(),
        confirm_within=confirm_within,
        stage=stage,
    )
    return await ended(host, asked)


async def upgrade(host: FakeHost, base: str, *, name: str = "web", stage: bool = False) -> Operation:
    jails = host.core.use_cases.jails
    return await ended(host, jails.upgrade(name, base, etag="", validate_only=False, caller=caller(), stage=stage))


async def configure(host: FakeHost, spec: JailSpec, *, stage: bool = False) -> Operation:
    jails = host.core.use_cases.jails
    return await ended(host, jails.configure("web", spec, etag="", validate_only=False, caller=caller(), stage=stage))


async def cut_over(host: FakeHost, name: str = "web") -> Operation:
    return await ended(host, host.core.use_cases.staging.cutover(name, validate_only=False, caller=caller()))


async def unstage(host: FakeHost, name: str = "web") -> Operation:
    return await ended(host, host.core.use_cases.staging.unstage(name, caller=caller()))


async def roll_back(host: FakeHost, generation: int = 0, axis: str = "", *, stage: bool = False) -> Operation:
    return await ended(
        host,
        host.core.use_cases.jails.rollback(
            "web", generation=generation, axis=axis, etag="", validate_only=False, caller=caller(), stage=stage
        ),
    )


async def delete(host: FakeHost, *, force: bool = False) -> Operation:
    return await ended(
        host, host.core.use_cases.jails.delete("web", force=force, etag="", validate_only=False, caller=caller())
    )


async def ended(host: FakeHost, asked: Awaitable[Operation]) -> Operation:
    """Wait until what was asked for is done."""
    return await host.end_of(await asked)


def active(host: FakeHost, name: str = "web") -> Generation:
    """Return a jail's active generation."""
    generation = host.core.use_cases.jails.get(name).generation
    assert generation is not None
    return generation


def serves(host: FakeHost, generation: int, name: str = "web") -> bool:
    """Say whether that generation, and no other, runs."""
    assert host.core.use_cases.jails.get(name).state is JailState.RUNNING
    return invariants.running([host], name) == [f"{host.name}:{name}.{generation}"]


def touched(host: FakeHost) -> list[tuple[str, str]]:
    """Return the calls that changed something, and forget all."""
    found = [call for call in host.zfs.calls if call[0] in _ZFS_CHANGES]
    found += [call for call in host.runtime.calls if call[0] in _RUNTIME_CHANGES]
    host.zfs.calls.clear()
    host.runtime.calls.clear()
    return found


def reason_of(operation: Operation) -> str:
    """Return why it failed; '' if it did not."""
    return operation.failure.reason if operation.failure is not None else ""
