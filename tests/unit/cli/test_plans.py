"""What a plan shows, and that one is never carried out for want of a daemon that knows plans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from jaild import client
from jaild.cli.output.exits import Exit
from jaild.restraints import NotHeldBackError
from jaild.v1 import bases_pb2, common_pb2, host_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status


def test_a_plan_shows_what_becomes_what(jailctl: Run, daemon: Daemon) -> None:
    changes = [
        common_pb2.FieldChange(field="$.environment.KEY", before="(redacted)", after="(redacted)"),
        common_pb2.FieldChange(field="$.limits.memory", after="512M"),
        common_pb2.FieldChange(field="$.user", before="web", after=""),
    ]
    plan = common_pb2.Plan(
        kind="configure",
        target="jails/web",
        from_generation=2,
        to_generation=3,
        base="bases/debian-13",
        from_base="bases/debian-12",
        release="apps/web/releases/2",
        from_release="apps/web/releases/1",
        changes=changes,
    )
    daemon.answers = [operation(plan, kind="configure")]
    assert jailctl("jail", "deploy", "web", "web/2", "--plan").stdout.splitlines()[1:7] == [
        "  generation  2 -> 3",
        "  base        debian-12 -> debian-13",
        "  release     web/1 -> web/2",
        "  spec        $.environment.KEY: (redacted) -> (redacted)",
        "              $.limits.memory: none -> 512M",
        "              $.user: web -> ''",
    ]
    same = common_pb2.Plan(kind="deploy", target="jails/web", base=plan.base, from_base=plan.base, release=plan.release)
    daemon.answers = [operation(same), operation(common_pb2.Plan(kind="create", base=plan.base, release=plan.release))]
    assert jailctl("jail", "deploy", "web", "web/2", "--plan").stdout.splitlines()[1:3] == [
        "  base        debian-13",
        "  release     none -> web/2",
    ]
    assert "  release     web/2" in jailctl("jail", "deploy", "web", "web/2", "--plan").stdout  # of a new jail


def without(*fields: str) -> descriptor_pool.DescriptorPool:
    """The API as a daemon has it that lacks these fields: Message.field."""
    pool, seen = descriptor_pool.DescriptorPool(), set()

    def add(file: object) -> None:
        if file.name in seen:  # type: ignore[attr-defined]  # a FileDescriptor: untyped
            return
        seen.add(file.name)  # type: ignore[attr-defined]
        for needed in file.dependencies:  # type: ignore[attr-defined]
            add(needed)
        told = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(told)  # type: ignore[attr-defined]
        for message in told.message_type:
            kept = [field for field in message.field if f"{message.name}.{field.name}" not in fields]
            del message.field[:]
            message.field.extend(kept)
        pool.Add(told)

    for module in (bases_pb2, host_pb2, jails_pb2):
        add(module.DESCRIPTOR)
    return pool


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that would carry out what it is to plan, or to prepare."""
    lacking = ("StopJailRequest.validate_only", "ImportBaseHeader.validate_only", "RollbackJailRequest.stage")
    made = Daemon(str(tmp_path / "s"))
    made.knows = without(*lacking)
    made.start()
    yield made
    made.stop()


def test_a_daemon_that_would_carry_out_what_it_is_to_plan_is_not_asked(
    jailctl: Run, older: Daemon, tmp_path: Path
) -> None:
    archive = tmp_path / "web.tar"
    archive.write_bytes(b"x")
    for words in (
        ("jail", "stop", "web", "db", "--plan"),
        ("base", "import", "debian-14", str(archive), "--plan"),
        ("jail", "rollback", "web", "--stage"),
    ):
        refused = jailctl(*words, "--address", older.address)
        assert (words, refused.exit_code, "too old to know" in refused.stderr) == (words, Exit.REFUSED, True)
    assert (older.requests, older.uploads) == ([], [])
    older.answers = [operation(jails_pb2.Jail(name="jails/web"))] * 2
    for asked_for in (("stop", "web"), ("rollback", "web", "--plan")):  # what it knows it is asked
        assert jailctl("jail", *asked_for, "--address", older.address).exit_code == Exit.OK
    assert [type(asked).__name__ for asked in older.requests] == ["StopJailRequest", "RollbackJailRequest"]


def test_a_daemon_that_knows_plans_is_asked_for_them(jailctl: Run, daemon: Daemon) -> None:
    plan = common_pb2.Plan(kind="stop", target="jails/web")
    daemon.answers = [operation(plan, kind="stop")] * 2
    assert jailctl("jail", "stop", "web", "db", "--plan").exit_code == Exit.OK
    assert [request.validate_only for request in daemon.asked(jails_pb2.StopJailRequest)] == [True, True]


async def test_the_client_of_an_event_loop_asks_no_more_of_it_either(older: Daemon) -> None:
    async with client.connect_aio(older.address) as api:
        with pytest.raises(NotHeldBackError, match="validate_only"):
            await api.jails.StopJail(jails_pb2.StopJailRequest(name="jails/web", validate_only=True))
        older.answers = [operation(jails_pb2.Jail(name="jails/web"))]
        assert (await api.jails.StopJail(jails_pb2.StopJailRequest(name="jails/web"))).done


def test_a_detail_of_several_lines_stands_below_its_name(jailctl: Run, daemon: Daemon) -> None:
    told = "/bin/false: exit status 1\nsaid 5 times in a row"
    daemon.answers = [operation(error=status("ABORTED", "HEALTH_CHECK_FAILED", "not healthy", checks=told, hint="fix"))]
    shown = jailctl("jail", "deploy", "web", "web/2").stderr
    assert "  checks: /bin/false: exit status 1\n    said 5 times in a row\n" in shown
