"""Each jail's own identity, from its base's import to its upgrade."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model import layout, names
from jaild.model.jails.spec import JailSpec
from jaild.ports.runtime import Output, RunSpec
from tests.fakes.host import FakeHost, caller
from tests.fakes.runtime import Answer, FakeRuntime
from tests.hosts import asking
from tests.hosts.asking import SPEC as WEB
from tests.hosts.fixtures import furnished
from tests.unit.adapters.files.test_osdetect import elf

KEY = "ssh/ssh_host_ed25519_key"


def files(mark: str) -> dict[str, str]:
    return {
        f"etc/{KEY}": f"key {mark}",
        "etc/ssh/sshd_config": mark,
        "etc/machine-id": f"{mark * 32}\n",
        "usr/bin/ssh-keygen": "ELF",
        "var/lib/systemd/random-seed": mark,
        "var/lib/dbus/machine-id": mark,
        "var/lib/other": mark,
        "root/.profile": mark,
    }


class Keygen(FakeRuntime):
    """Its sandboxes' ssh-keygen makes a key, each time another one."""

    etc = Path()
    made = 0
    status = 0

    async def create(self, run: RunSpec) -> None:
        if names.is_sandbox(run.jail):
            self.etc = next(Path(mount.folder) for mount in run.mounts if mount.target == "/etc")
        await super().create(run)

    def exec(self, jail: str, generation: int, command: tuple[str, ...], **more: Any) -> AsyncGenerator[Output, None]:
        if command == ("/usr/bin/ssh-keygen", "-A"):
            self.made += 1
            (self.etc / KEY).write_text(f"made {self.made}")
            self.answers[f"{jail}.{generation}"] = Answer(status=self.status, stderr=b"no user for uid 0\n")
        return super().exec(jail, generation, command, **more)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = Keygen()
    await furnished(found)
    await found.add_base("a", files("a"))
    await found.add_base("b", files("b"))
    yield found
    await found.stop()


def on(base: str) -> JailSpec:
    return msgspec.structs.replace(WEB, base=base)


def etc(host: FakeHost, name: str, generation: int = 1) -> Path:
    return host.core.inventory.jails[name].folder / "generations" / str(generation) / layout.ETC


async def test_two_jails_of_a_base_have_host_keys_and_machine_ids_of_their_own(host: FakeHost) -> None:
    spec = on("a")
    for name in ("one", "two"):
        assert asking.reason_of(await asking.create(host, spec, name=name)) == ""
    assert [(etc(host, name) / KEY).read_text() for name in ("one", "two")] == ["made 1", "made 2"]
    ids = {(etc(host, name) / "machine-id").read_text() for name in ("one", "two")}
    assert len(ids) == 2
    assert not ids & {"a" * 32 + "\n"}


async def test_what_says_who_a_machine_is_does_not_come_into_a_jails_data(host: FakeHost) -> None:
    await asking.create(host, on("a"))
    data = host.core.inventory.jails["web"].folder / layout.DATA
    found = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert {"var/lib/other", "root/.profile"} <= found
    assert not {"var/lib/systemd/random-seed", "var/lib/dbus/machine-id"} & found


async def test_a_jail_keeps_its_host_keys_and_machine_id_over_an_upgrade_and_a_rollback(host: FakeHost) -> None:
    await asking.create(host, on("a"))
    own = (etc(host, "web") / "machine-id").read_text()
    assert asking.reason_of(await asking.upgrade(host, "b")) == ""
    assert asking.reason_of(await asking.roll_back(host, axis="base")) == ""
    for generation, mark in ((2, "b"), (3, "a")):
        folder = etc(host, "web", generation)
        assert (folder / KEY).read_text() == "made 1"
        assert (folder / "machine-id").read_text() == own
        assert (folder / "ssh/sshd_config").read_text() == mark


async def test_a_base_without_ssh_keygen_gives_a_jail_no_keys(host: FakeHost) -> None:
    await host.add_base("c", {path: text for path, text in files("c").items() if not path.startswith("usr/")})
    assert asking.reason_of(await asking.create(host, on("c"))) == ""
    assert not (etc(host, "web") / KEY).exists()


async def test_an_ssh_keygen_that_fails_leaves_no_jail_and_says_what_to_do_with_the_base(host: FakeHost) -> None:
    assert isinstance(host.runtime, Keygen)
    host.runtime.status = 255
    operation = await asking.create(host, on("a"))
    assert asking.reason_of(operation) == "ETC_TOOL_FAILED"
    assert operation.failure is not None
    assert "no user for uid 0" in operation.failure.message
    assert operation.failure.hint.startswith("make the base anew")
    assert host.core.use_cases.jails.list() == []


async def test_the_import_of_a_base_with_an_identity_warns_and_notes_it(host: FakeHost, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path, text in {**files("d"), "etc/os-release": "ID=debian\nVERSION_ID=12\n"}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    (tree / "bin").mkdir()
    (tree / "bin/sh").write_bytes(elf())
    operation = await host.end_of(
        await host.core.use_cases.bases.import_path("d", str(tree), sha256="", caller=caller())
    )
    assert operation.plan is not None
    (problem,) = operation.plan.problems
    assert (problem.code, len(problem.evidence)) == ("SHARED_IDENTITY", 4)
    assert host.core.use_cases.bases.get("d").record.notes[0].startswith("SHARED_IDENTITY: ")
