"""Copies of jails by jailctl: what is asked of daemons, and what becomes of files."""

from __future__ import annotations

import hashlib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2

from jaild.v1 import common_pb2, copies_pb2, copies_pb2_grpc, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

JAIL = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_RUNNING, generation=1, base="bases/b")
PIECES = (b"one", b"two", b"three")


class Copies(copies_pb2_grpc.CopiesServicer):  # type: ignore[misc]
    def __init__(self, daemon: CopyingDaemon) -> None:
        self.daemon = daemon

    def CloneJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)

    def ExportJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        if request.validate_only:
            warning = common_pb2.SEVERITY_WARNING
            problem = common_pb2.Problem(code="EXPORT_HAS_SECRETS", severity=warning, message="told")
            plan = common_pb2.Plan(kind="export", target="jails/web", steps=["write it"], problems=[problem])
            yield copies_pb2.ExportJailResponse(plan=plan)
            return
        for piece in PIECES:
            yield copies_pb2.ExportJailResponse(chunk=piece)
        if self.daemon.breaks:
            context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")

    def ImportJail(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
        header = next(requests).header
        self.daemon.came = b"".join(request.chunk for request in requests)
        return self.daemon.change(header, context)

    def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return copies_pb2.Upload(size_bytes=self.daemon.there)


class CopyingDaemon(Daemon):
    came = b""
    there = 0
    breaks = False

    def start(self) -> None:
        copies_pb2_grpc.add_CopiesServicer_to_server(Copies(self), self.server)
        super().start()


@pytest.fixture
def daemon() -> Iterator[CopyingDaemon]:
    with tempfile.TemporaryDirectory(prefix="jailctl-") as folder:
        made = CopyingDaemon(f"{folder}/jaild.sock")
        made.start()
        yield made
        made.stop()


def test_a_restore_into_another_jail_says_how_that_is_reached(jailctl: Run, daemon: CopyingDaemon) -> None:
    daemon.answers = [operation(JAIL, kind="clone")]
    reach = ("--ip", "10.0.0.8/24", "--no-ports")
    assert jailctl("jail", "restore", "web", "--at", "1h", "--into", "web-2", *reach).exit_code == 0
    (clone,) = daemon.asked(copies_pb2.CloneJailRequest)
    assert (clone.name, clone.jail_id, clone.stopped) == ("jails/web", "web-2", True)
    assert (list(clone.reach.addresses), clone.reach.without_ports) == (["10.0.0.8/24"], True)


def test_a_clone_is_asked_for_with_its_moment_and_its_network(jailctl: Run, daemon: CopyingDaemon) -> None:
    daemon.answers = [operation(JAIL, kind="clone")] * 2
    told = jailctl("jail", "clone", "web", "copy", "--at", "nightly", "--ip", "10.0.0.6/24", "--no-ports", "--stopped")
    assert told.exit_code == 0, told.stderr
    assert jailctl("jail", "clone", "web", "copy", "--at", "2026-11-30T08:00:00Z", "--no-network").exit_code == 0
    by_name, by_time = daemon.asked(copies_pb2.CloneJailRequest)
    assert (by_name.name, by_name.jail_id, by_name.moment.snapshot) == ("jails/web", "copy", "nightly")
    assert by_name.reach == copies_pb2.Reach(addresses=["10.0.0.6/24"], without_ports=True)
    assert by_name.stopped
    assert by_time.moment.time == timestamp_pb2.Timestamp(seconds=1796025600)
    assert by_time.reach.without_network


def test_an_export_is_written_for_its_owner_alone_with_its_digest(
    jailctl: Run, daemon: CopyingDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "web.jaild"
    told = jailctl("jail", "export", "web", str(path), "--portable", "--encrypt-to", "age1x")
    assert told.exit_code == 0, told.stderr
    assert path.read_bytes() == b"".join(PIECES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hashlib.sha256(path.read_bytes()).hexdigest() in told.stdout
    (request,) = daemon.asked(copies_pb2.ExportJailRequest)
    assert (request.portable, list(request.encrypt_to)) == (True, ["age1x"])


@pytest.mark.usefixtures("daemon")
def test_what_lies_where_an_export_is_written_is_not_written_through(jailctl: Run, tmp_path: Path) -> None:
    (tmp_path / "others").write_text("others'")
    (tmp_path / "others").chmod(0o644)
    for name in ("web.jaild", "web.jaild.part"):
        (tmp_path / name).symlink_to("others")
    assert jailctl("jail", "export", "web", str(tmp_path / "web.jaild")).exit_code == 0
    assert (tmp_path / "others").read_text() == "others'"
    assert stat.S_IMODE((tmp_path / "web.jaild").lstat().st_mode) == 0o600


def test_an_export_that_breaks_off_leaves_no_file(jailctl: Run, daemon: CopyingDaemon, tmp_path: Path) -> None:
    daemon.breaks = True
    (tmp_path / "web.jaild").write_text("the one of yesterday")
    assert jailctl("jail", "export", "web", str(tmp_path / "web.jaild")).exit_code != 0
    assert (tmp_path / "web.jaild").read_text() == "the one of yesterday"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_an_export_to_stdout_is_the_file_and_nothing_else(jailctl: Run, daemon: CopyingDaemon) -> None:
    told = jailctl("jail", "export", "web", "-")
    assert told.stdout_bytes == b"".join(PIECES)
    assert "sha256" in told.stderr
    assert daemon.asked(copies_pb2.ExportJailRequest)


def test_the_plan_of_an_export_says_what_is_in_it(jailctl: Run, daemon: CopyingDaemon) -> None:
    told = jailctl("jail", "export", "web", "-", "--plan")
    assert "EXPORT_HAS_SECRETS" in told.stdout
    (request,) = daemon.asked(copies_pb2.ExportJailRequest)
    assert request.validate_only


def test_an_import_goes_on_where_the_one_before_was_broken_off(
    jailctl: Run, daemon: CopyingDaemon, tmp_path: Path
) -> None:
    (tmp_path / "web.jaild").write_bytes(b"".join(PIECES))
    daemon.there, daemon.answers = 4, [operation(JAIL, kind="import")]
    told = jailctl("jail", "import", "web", str(tmp_path / "web.jaild"), "--keep-identity")
    assert told.exit_code == 0, told.stderr
    assert daemon.came == b"".join(PIECES)[4:]
    (header,) = daemon.asked(copies_pb2.ImportJailHeader)
    assert (header.jail_id, header.offset, header.size_bytes, header.keep_identity) == ("web", 4, 11, True)
    assert header.sha256 == hashlib.sha256(b"".join(PIECES)).hexdigest()


def test_an_import_from_a_pipe_is_sent_in_one_go(jailctl: Run, daemon: CopyingDaemon) -> None:
    daemon.answers = [operation(JAIL, kind="import")]
    assert jailctl("jail", "import", "web", "-", stdin=b"bytes").exit_code == 0
    (header,) = daemon.asked(copies_pb2.ImportJailHeader)
    assert (daemon.came, header.sha256, header.size_bytes) == (b"bytes", "", 0)
    assert daemon.asked(copies_pb2.GetUploadRequest) == []


def test_an_import_of_a_file_on_the_host_sends_its_path(jailctl: Run, daemon: CopyingDaemon) -> None:
    daemon.answers = [operation(JAIL, kind="import")]
    assert jailctl("jail", "import", "web", "/backup/web.jaild", "--on-host").exit_code == 0
    (header,) = daemon.asked(copies_pb2.ImportJailHeader)
    assert (daemon.came, header.path) == (b"", "/backup/web.jaild")


@pytest.fixture
def other(jailctl: Run, daemon: CopyingDaemon) -> Iterator[CopyingDaemon]:
    """Another host, as the context `production`."""
    with tempfile.TemporaryDirectory(prefix="jailctl-") as folder:
        made = CopyingDaemon(f"{folder}/jaild.sock")
        made.jails = [JAIL]
        made.start()
        assert jailctl("context", "add", "production", "--address", made.address).exit_code == 0
        yield made
        made.stop()
    assert daemon


def test_a_pull_hands_one_hosts_export_on_to_the_other(
    jailctl: Run, daemon: CopyingDaemon, other: CopyingDaemon
) -> None:
    daemon.answers = [operation(JAIL, kind="import")]
    told = jailctl("jail", "pull", "web", "--from", "production", "--as", "copy", "--at", "nightly", "--no-network")
    assert told.exit_code == 0, told.stderr
    assert daemon.came == b"".join(PIECES)
    (request,) = other.asked(copies_pb2.ExportJailRequest)
    assert (request.name, request.moment.snapshot) == ("jails/web", "nightly")
    (header,) = daemon.asked(copies_pb2.ImportJailHeader)
    assert (header.jail_id, header.reach.without_network) == ("copy", True)
    assert daemon.asked(copies_pb2.ExportJailRequest) == other.asked(copies_pb2.ImportJailHeader) == []


def test_a_pull_whose_source_breaks_off_tells_that(jailctl: Run, daemon: CopyingDaemon, other: CopyingDaemon) -> None:
    other.breaks = True
    told = jailctl("jail", "pull", "web", "--from", "production")
    assert told.exit_code != 0
    assert "shutting down" in told.stderr
    assert daemon.asked(copies_pb2.ImportJailHeader) == []
