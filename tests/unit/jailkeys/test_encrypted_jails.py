"""Encrypted jails on whole hosts: no start without the key, no move to a host that cannot open what came."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.system.keys import KeySource
from jaild.copies.exports import Wanted
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import Encryption, JailSpec, Standby, Volume
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation
from jaild.model.problems import errors
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts.asking import create, ended
from tests.hosts.migrating import migrate
from tests.hosts.standbys import events, promote, record, rounds

SPEC = JailSpec(
    base="deb-1",
    app="web/1",
    volumes={"db": Volume(path="/var/lib/db")},
    encryption=Encryption(key="customers"),
)
_KEY, _OTHER = b"correct horse\n", b"battery staple\n"
_DATASETS = {"tank/jaild/jails/web/data", "tank/jaild/jails/web/db"}


def gives(host: FakeHost, key: bytes = _KEY, *, mode: int = 0o600) -> None:
    """Let a host have a key in a file that its configuration names."""
    file = host.folder / "key"
    file.write_bytes(key)
    file.chmod(mode)
    host.keys["customers"] = KeySource(file=file)


async def hosts(folder: Path, *names: str) -> tuple[FakeHost, ...]:
    """Return hosts of which the first has a key, and what jails are made of."""
    network = Network()
    made = [FakeHost(folder / name, name, network) for name in names]
    for host in made:
        host.folder.mkdir(exist_ok=True)
        await host.start()
    await made[0].add_base("deb-1")
    await made[0].add_release("web/1")
    gives(made[0])
    return tuple(made)


def mark(host: FakeHost) -> Path:
    return host.core.inventory.jails["web"].folder / "data" / "var" / "mark"


async def available(host: FakeHost) -> dict[str, bool]:
    found = await host.zfs.keys("tank/jaild")
    return {name: key.available for name, key in found.items()}


def state(host: FakeHost) -> JailState:
    return host.core.inventory.jail_view("web").state


async def with_jail(folder: Path, *names: str, spec: JailSpec = SPEC) -> tuple[FakeHost, ...]:
    made = await hosts(folder, *names)
    done = await create(made[0], spec)
    assert done.failure is None, done.failure
    mark(made[0]).write_text("ours")
    return made


async def refusal(host: FakeHost, asked: Awaitable[Operation]) -> list[str]:
    """Return the codes of what a plan is refused for."""
    done = await host.end_of(await asked)
    assert done.failure is not None
    assert (done.failure.reason, done.plan is None) == ("PLAN_REFUSED", False)
    return [problem.code for problem in errors(done.plan.problems)] if done.plan else []


async def start(host: FakeHost) -> Operation:
    return await ended(host, host.core.use_cases.jails.start("web", validate_only=False, caller=caller()))


async def test_data_and_volumes_are_encrypted_and_what_jaild_reads_is_not(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    assert await available(alpha) == dict.fromkeys(_DATASETS, True)
    more = msgspec.structs.replace(SPEC, volumes={**SPEC.volumes, "log": Volume(path="/var/lib/more")})
    done = await ended(
        alpha, alpha.core.use_cases.jails.configure("web", more, etag="", validate_only=False, caller=caller())
    )
    assert done.failure is None
    assert "tank/jaild/jails/web/log" in await available(alpha)


async def test_a_boot_loads_the_key_before_the_jail_starts(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    await alpha.restart(reboot=True)
    await alpha.quiet()
    assert state(alpha) is JailState.RUNNING
    assert await available(alpha) == dict.fromkeys(_DATASETS, True)
    assert mark(alpha).read_text() == "ours"


@pytest.mark.parametrize("how", ["no source", "open to all", "another key", "command that fails"])
async def test_without_its_key_a_jail_stays_down_says_why_and_starts_when_somebody_types_it(
    tmp_path: Path, how: str
) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    match how:
        case "no source":
            alpha.keys.clear()
        case "open to all":
            gives(alpha, mode=0o644)
        case "another key":
            gives(alpha, _OTHER)
        case _:
            alpha.keys["customers"] = KeySource(command=("sh", "-c", "echo correct horse; exit 3"))
    await alpha.restart(reboot=True)
    await alpha.quiet()
    assert state(alpha) is not JailState.RUNNING
    assert "jailctl jail load-key web" in alpha.core.inventory.jail_view("web").message
    assert await events(alpha, "jail.not_started")
    assert await available(alpha) == dict.fromkeys(_DATASETS, False)
    failure = (await start(alpha)).failure
    assert failure is not None
    assert failure.reason == "KEY_UNAVAILABLE"
    assert "jailctl jail load-key web" in failure.hint
    assert "correct horse" not in str(failure)
    assert not mark(alpha).exists()  # nothing was written where the data would be mounted
    keys = alpha.core.use_cases.jail_keys
    with pytest.raises(InvalidArgumentError, match="Incorrect key"):
        await keys.load("web", _OTHER, validate_only=False)
    await keys.load("web", _KEY, validate_only=True)
    assert await available(alpha) == dict.fromkeys(_DATASETS, False)
    seen = await keys.load("web", b"correct horse", validate_only=False)  # without the newline, as a terminal gives it
    assert all(key.available for key in seen.datasets.values())
    assert (await start(alpha)).failure is None
    assert mark(alpha).read_text() == "ours"


async def test_what_changes_a_locked_jail_does_not_write_where_its_data_would_be(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    alpha.keys.clear()
    await alpha.restart(reboot=True)
    await alpha.quiet()
    jails = alpha.core.use_cases.jails
    named = msgspec.structs.replace(SPEC, hostname="h")
    asked = jails.configure("web", named, etag="", validate_only=False, caller=caller())
    assert await refusal(alpha, asked) == ["KEY_SOURCE_MISSING"]
    assert not mark(alpha).parent.exists() or not any(mark(alpha).parent.iterdir())


async def test_the_key_of_a_stopped_jail_is_forgotten_and_loaded_by_its_start(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    keys = alpha.core.use_cases.jail_keys
    with pytest.raises(FailedPreconditionError) as refused:
        await keys.unload("web", validate_only=False)
    assert refused.value.reason == "JAIL_RUNNING"
    stopped = alpha.core.use_cases.jails.stop("web", validate_only=False, caller=caller())
    assert (await ended(alpha, stopped)).failure is None
    await keys.unload("web", validate_only=False)
    assert await available(alpha) == dict.fromkeys(_DATASETS, False)
    assert (await start(alpha)).failure is None
    assert mark(alpha).read_text() == "ours"


async def test_encryption_is_decided_at_creation_but_for_where_the_key_is(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    jails = alpha.core.use_cases.jails
    for other in (None, Encryption(key="customers", keyformat="hex")):
        spec = msgspec.structs.replace(SPEC, encryption=other)
        asked = jails.configure("web", spec, etag="", validate_only=False, caller=caller())
        assert await refusal(alpha, asked) == ["ENCRYPTION_FIXED"]
    elsewhere = msgspec.structs.replace(SPEC, encryption=Encryption(key="vault"))
    moved = jails.configure("web", elsewhere, etag="", validate_only=False, caller=caller())
    assert (await ended(alpha, moved)).failure is None


@pytest.mark.parametrize(
    ("version", "encryption", "code"),
    [
        ("zfs-2.1.2-1", True, "ENCRYPTION_UNSUPPORTED"),
        ("0.7", False, "ENCRYPTION_UNSUPPORTED"),
        ("zfs-2.1.11-1", True, ""),
    ],
)
async def test_a_zfs_that_cannot_or_damages_makes_no_encrypted_jail(
    tmp_path: Path, version: str, code: str, *, encryption: bool
) -> None:
    (alpha,) = await hosts(tmp_path, "alpha")
    alpha.zfs.can = dataclasses.replace(alpha.zfs.can, version=version, encryption=encryption)
    made = alpha.core.use_cases.jails.create("web", SPEC, stopped=False, validate_only=False, caller=caller())
    if not code:
        assert (await ended(alpha, made)).failure is None
        return
    with pytest.raises(FailedPreconditionError) as refused:
        await made
    assert [problem.code for problem in refused.value.problems] == [code]


async def test_a_jail_moves_raw_to_a_host_that_has_the_key(tmp_path: Path) -> None:
    alpha, beta = await with_jail(tmp_path, "alpha", "beta")
    gives(beta)
    done = await alpha.end_of(await migrate(alpha, beta))
    assert done.failure is None, done.failure
    assert state(beta) is JailState.RUNNING
    assert mark(beta).read_text() == "ours"
    assert await available(beta) == dict.fromkeys(_DATASETS, True)


async def test_a_host_without_the_key_takes_no_jail_and_says_what_to_do(tmp_path: Path) -> None:
    alpha, beta = await with_jail(tmp_path, "alpha", "beta")
    assert await refusal(alpha, migrate(alpha, beta)) == ["KEY_SOURCE_MISSING"]
    assert state(alpha) is JailState.RUNNING


async def test_a_host_with_another_key_is_found_out_before_the_jail_is_stopped(tmp_path: Path) -> None:
    alpha, beta = await with_jail(tmp_path, "alpha", "beta")
    gives(beta, _OTHER)
    stops = [call for call in alpha.runtime.calls if call[0] == "stop"]
    failure = (await alpha.end_of(await migrate(alpha, beta))).failure
    assert failure is not None
    assert failure.reason == "KEY_UNAVAILABLE"
    assert [call for call in alpha.runtime.calls if call[0] == "stop"] == stops
    assert state(alpha) is JailState.RUNNING
    await beta.quiet()
    assert await available(beta) == {}


async def test_no_increment_goes_back_onto_a_copy_that_was_written_to(tmp_path: Path) -> None:
    alpha, beta = await with_jail(tmp_path, "alpha", "beta")
    gives(beta)
    assert (await alpha.end_of(await migrate(alpha, beta))).failure is None
    assert await refusal(beta, migrate(beta, alpha)) == ["ENCRYPTED_COPY"]


async def test_a_standby_needs_no_key_until_it_is_promoted(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(SPEC, standby=Standby(peers=("beta",), interval=60.0))
    alpha, beta = await with_jail(tmp_path, "alpha", "beta", spec=spec)
    await rounds(alpha)
    mark(alpha).write_text("later")
    await rounds(alpha)
    assert (await record(beta)).replica is not None
    assert await available(beta) == dict.fromkeys(_DATASETS, False)
    await alpha.kill()
    refused = (await promote(beta, down=True, confirm="alpha is down")).failure
    assert refused is not None
    assert refused.reason == "KEY_UNAVAILABLE"
    assert (await record(beta)).state is Ownership.STANDBY
    await beta.core.use_cases.jail_keys.load("web", _KEY, validate_only=False)
    done = await promote(beta, down=True, confirm="alpha is down")
    assert done.failure is None, done.failure
    assert state(beta) is JailState.RUNNING
    assert mark(beta).read_text() == "later"


async def test_a_locked_jail_gets_another_name_and_starts_under_it(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    stopped = alpha.core.use_cases.jails.stop("web", validate_only=False, caller=caller())
    assert (await ended(alpha, stopped)).failure is None
    await alpha.core.use_cases.jail_keys.unload("web", validate_only=False)
    renamed = alpha.core.use_cases.copies.renames.rename("web", "other", caller=caller())
    assert (await ended(alpha, renamed)).failure is None
    begun = alpha.core.use_cases.jails.start("other", validate_only=False, caller=caller())
    assert (await ended(alpha, begun)).failure is None
    assert (alpha.core.inventory.jails["other"].folder / "data/var/mark").read_text() == "ours"


async def test_a_test_migration_boots_what_came_by_its_key(tmp_path: Path) -> None:
    alpha, beta = await with_jail(tmp_path, "alpha", "beta")
    gives(beta)
    asked = alpha.core.use_cases.migrations.test(
        "web", "beta", max_downtime=10.0, keep_copy=False, etag="", caller=caller()
    )
    done = await alpha.end_of(await asked)
    assert done.failure is None, done.failure
    await beta.quiet()
    assert await available(beta) == {}


async def test_a_clone_and_an_export_stay_encrypted(tmp_path: Path) -> None:
    (alpha,) = await with_jail(tmp_path, "alpha")
    cloned = alpha.core.use_cases.copies.clones.clone("web", "copy", validate_only=False, caller=caller())
    assert (await ended(alpha, cloned)).failure is None
    copies = {name for name in await available(alpha) if "/copy/" in name}
    assert copies == {"tank/jaild/jails/copy/data", "tank/jaild/jails/copy/db"}
    with pytest.raises(FailedPreconditionError) as refused:
        await alpha.core.use_cases.copies.exports.plan("web", Wanted(portable=True))
    assert refused.value.reason == "EXPORT_IN_THE_CLEAR"
