"""What of a spec and a manifest the proof of a plan takes into account, and what of it somebody may accept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.libraries import ElfFile, Libraries, Linker
from jaild.model.layers.records import Family, Manifest
from jaild.model.operation import Operation
from jaild.model.problems import Accepted, Problem, Severity, accept, require_acceptable
from tests.fakes.host import FakeHost, caller
from tests.fakes.runtime import FACTS, FakeRuntime
from tests.hosts import asking

WHERE = {"LD_LIBRARY_PATH": "/usr/local/private"}


def elf(path: str, *, soname: str = "", needed: tuple[str, ...] = (), interpreter: str = "") -> ElfFile:
    return ElfFile(path=path, machine="EM_X86_64", bits=64, soname=soname, needed=needed, interpreter=interpreter)


RTLD = "/libexec/ld-elf.so.1"
BASE = Libraries(files=(elf(RTLD),), search_path=("/lib", "/usr/lib"), linker=Linker.FREEBSD, ldconfig=True)
RELEASE = Libraries(
    files=(
        elf("/usr/local/bin/run", needed=("libp.so", "libq.so"), interpreter=RTLD),
        elf("/usr/local/private/libp.so", soname="libp.so"),
        elf("/usr/local/lib/libq.so", soname="libq.so"),
    ),
    search_path=("/usr/local/lib",),
)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = FakeRuntime(facts=replace(FACTS, family=Family.FREEBSD, osreldate=1401000))
    await found.start()
    await found.add_base("bsd-1", family=Family.FREEBSD)
    await found.add_release("web/1")
    await found.add_release("web/3")
    await found.add_release("web/2", manifest=Manifest(command=("/usr/local/bin/run",), environment=WHERE))
    inventory = found.core.inventory
    folders = {inventory.base("bsd-1").folder: BASE}
    folders |= {inventory.release(f"web/{version}").folder: RELEASE for version in (1, 2, 3)}
    for folder, libraries in folders.items():
        await found.files.write(folder / layout.LIBRARIES, msgspec.json.encode(libraries))
    yield found
    await found.stop()


async def missing(host: FakeHost, spec: JailSpec) -> list[str]:
    asked = await host.core.use_cases.jails.create("web", spec, stopped=False, validate_only=True, caller=caller())
    assert asked.plan is not None
    return [line for problem in asked.plan.problems for line in problem.evidence if problem.code == "MISSING_LIBRARY"]


async def test_where_the_spec_or_the_manifest_sends_the_linker_counts(host: FakeHost) -> None:
    assert await missing(host, JailSpec(base="bsd-1", app="web/1")) == ["run needs libp.so"]
    assert await missing(host, JailSpec(base="bsd-1", app="web/1", environment=WHERE)) == []
    assert await missing(host, JailSpec(base="bsd-1", app="web/2")) == []
    elsewhere = {"LD_LIBRARY_PATH": "/nowhere"}  # the spec's overrides the manifest's
    assert await missing(host, JailSpec(base="bsd-1", app="web/2", environment=elsewhere)) == ["run needs libp.so"]


async def test_freebsds_own_boot_has_no_part_of_the_environment(host: FakeHost) -> None:
    spec = JailSpec(base="bsd-1", app="web/1", environment=WHERE, command=("/bin/sh", "/etc/rc"))
    assert await missing(host, spec) == ["run needs libp.so"]


KNOWN = Accepted(code="MISSING_LIBRARY", subject="/usr/local/bin/run", reason="nobody starts it", by="ann")


async def asked_with(host: FakeHost, *accepted: Accepted, app: str = "web/1", name: str = "web") -> Operation:
    spec = JailSpec(base="bsd-1", app=app)
    who = msgspec.structs.replace(caller(), accepted=accepted)
    create = host.core.use_cases.jails.create(name, spec, stopped=False, validate_only=False, caller=who)
    return await asking.ended(host, create)


async def test_a_change_is_made_in_spite_of_a_problem_that_is_accepted_and_the_generation_says_who_and_why(
    host: FakeHost,
) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await asked_with(host, msgspec.structs.replace(KNOWN, subject="/usr/local/bin/another"))
    assert refused.value.reason == "PLAN_REFUSED"
    operation = await asked_with(host, KNOWN)
    assert asking.reason_of(operation) == ""
    assert operation.plan is not None
    (problem,) = operation.plan.problems
    assert (problem.severity, problem.evidence[0]) == (Severity.WARNING, "accepted by ann: nobody starts it")
    assert asking.active(host).accepted == (KNOWN,)
    assert asking.serves(host, 1)


async def test_what_was_accepted_holds_for_the_same_base_and_release_and_no_other(host: FakeHost) -> None:
    await asked_with(host, KNOWN)
    configured = JailSpec(base="bsd-1", app="web/1", hostname="other")
    assert asking.reason_of(await asking.configure(host, configured)) == ""
    assert asking.active(host).accepted == (KNOWN,)
    assert asking.reason_of(await asking.deploy(host, "web/2")) == ""  # it says where the library is: nothing to accept
    assert asking.active(host).accepted == ()
    assert asking.reason_of(await asking.roll_back(host, 1)) == ""
    assert asking.reason_of(await asking.deploy(host, "web/3")) == "PLAN_REFUSED"


def test_nothing_of_kernel_machine_or_configuration_can_be_accepted_and_nothing_without_a_reason() -> None:
    for code in ("KERNEL_TOO_OLD", "WRONG_MACHINE", "WRONG_FAMILY", "ABI_MISMATCH", "MERGE_CONFLICT", "ADDRESS_IN_USE"):
        error = Problem(severity=Severity.ERROR, code=code, message="m")
        accepted = msgspec.structs.replace(KNOWN, code=code, subject="")
        assert accept([error], [accepted]) == ((error,), ())
        with pytest.raises(InvalidArgumentError) as refused:
            require_acceptable([accepted])
        assert refused.value.reason == "NOT_ACCEPTABLE"
    for reason in ("", " ", "x" * 501):
        with pytest.raises(InvalidArgumentError):
            require_acceptable([msgspec.structs.replace(KNOWN, reason=reason)])
    with pytest.raises(InvalidArgumentError):
        require_acceptable([KNOWN] * 101)
    require_acceptable([KNOWN])
