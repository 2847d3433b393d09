"""A jail cloned on its host, and brought to another one as a file, on real pools; what is not whole is refused."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import DataLossError, FailedPreconditionError, InvalidArgumentError, JaildError
from jaild.v1 import copies_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import CHUNK, SECONDS, explained, refused
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL, OTHER, Pair, paired

pytestmark = pytest.mark.real(*LINUX_HOST, "zstd", "age")
NAME = "edge-1"
FILL = """
b=/bin/busybox; mkdir -p /var/kept /var/lib/dbus
echo whole >/var/kept/file
ln /var/kept/file /var/kept/twin; ln -s file /var/kept/link; $b chmod 4711 /var/kept/file
$b chown 12:34 /var/kept; $b mkfifo /var/kept/pipe; dd if=/dev/urandom of=/var/kept/random bs=64k count=40
dd if=/dev/zero of=/var/kept/sparse bs=1 count=1 seek=4000000
echo mine >/var/lib/dbus/machine-id; echo edited >/etc/motd; echo rows >/var/lib/db/table; sync
"""
LOOK = """
cd /var/kept; cat file link /etc/motd /var/lib/db/table
stat -c '%n %a %u %g %h %s %F' file twin link pipe random sparse .
/bin/busybox md5sum random sparse; test -e /var/lib/dbus/machine-id || echo no machine-id
"""


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        network, volumes = f"{{mode: vnet, addresses: [{JAIL}]}}", "{db: {path: /var/lib/db, recordsize: 16K}}"
        made.alpha.api.create(NAME, trees.spec("tiny-1", "web/1", network=network, volumes=volumes))
        made.alpha.api.sh(NAME, FILL)
        yield made


def look(node: Node, name: str) -> str:
    return str(node.api.sh(name, LOOK))


def export(node: Node, **how: Any) -> bytes:
    request = copies_pb2.ExportJailRequest(name=f"jails/{NAME}", **how)
    with explained():
        return b"".join(response.chunk for response in node.api.copies.ExportJail(request, timeout=SECONDS))


def bring(node: Node, content: bytes, name: str = NAME, **how: Any) -> Any:
    header = copies_pb2.ImportJailHeader(jail_id=name, size_bytes=len(content), **how)

    def requests() -> Iterator[Any]:
        yield copies_pb2.ImportJailRequest(header=header)
        for start in range(header.offset, len(content), CHUNK):
            yield copies_pb2.ImportJailRequest(chunk=content[start : start + CHUNK])

    with explained():
        operation = node.api.copies.ImportJail(requests(), timeout=SECONDS)
    return node.api.done(operation)


def remove(node: Node, name: str) -> None:
    node.api.delete(name)


def datasets(node: Node) -> list[str]:
    """Return all that is on its pool, but for the empty parent of what is opened for a moment."""
    found = node.zfs("list", "-H", "-o", "name", "-t", "all", "-r", f"{node.pool}/jaild").split()
    return sorted(name for name in found if not name.endswith("/rehearsals"))


@pytest.mark.parametrize("portable", [False, True])
def test_an_export_of_one_host_is_the_same_jail_with_another_identity_on_the_other(
    pair: Pair, *, portable: bool
) -> None:
    alpha, beta = pair.alpha, pair.beta
    before = datasets(alpha)
    if portable:  # layers come as streams only
        bring(beta, export(alpha, with_layers=True), "layers", reach=copies_pb2.Reach(without_network=True))
        remove(beta, "layers")
        content = export(alpha, portable=True)
    else:
        content = export(alpha, with_layers=True)
    bring(beta, content)
    assert look(beta, NAME) == look(alpha, NAME) + "no machine-id\n"
    assert pair.running_on(NAME) == ["alpha", "beta"]
    shown = [node.api.all_jails()[NAME] for node in (alpha, beta)]
    assert len({jail.uid for jail in shown}) == 2
    assert datasets(alpha) == before
    assert beta.zfs("get", "-H", "-o", "value", "recordsize", f"{beta.pool}/jaild/jails/{NAME}/db").strip() == "16K"
    assert not [name for name in datasets(beta) if name.startswith(f"{beta.pool}/jaild/jails") and "@" in name]
    remove(beta, NAME)


def test_a_broken_file_is_refused_and_nothing_is_made_of_it(pair: Pair) -> None:
    content, before = export(pair.alpha, with_layers=True), datasets(pair.beta)
    for place in (700, len(content) // 3, len(content) // 2, len(content) - 5000, len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1
        with pytest.raises(JaildError) as told:
            bring(pair.beta, bytes(flipped))
        assert told.value.reason in {"EXPORT_DAMAGED", "NOT_AN_EXPORT"}, place
    with refused(DataLossError, "EXPORT_TRUNCATED"):
        bring(pair.beta, content[: len(content) // 2])
    with refused(InvalidArgumentError, "NOT_AN_EXPORT"):
        bring(pair.beta, b"")
    assert datasets(pair.beta) == before


def test_what_has_come_before_a_daemon_was_killed_is_gone_on_with(pair: Pair) -> None:
    alpha, beta = pair.alpha, pair.beta
    content = export(alpha, with_layers=True)
    digest = hashlib.sha256(content).hexdigest()
    header = copies_pb2.ImportJailHeader(jail_id=NAME, size_bytes=len(content), sha256=digest)

    def first_half() -> Iterator[Any]:
        yield copies_pb2.ImportJailRequest(header=header)
        yield copies_pb2.ImportJailRequest(chunk=content[:CHUNK])
        asked = copies_pb2.GetUploadRequest(sha256=digest)
        while beta.api.call(beta.api.copies.GetUpload, asked).size_bytes < CHUNK:
            continue
        beta.kill()

    with pytest.raises(grpc.RpcError):
        beta.api.copies.ImportJail(first_half(), timeout=SECONDS)
    beta.start()
    there = beta.api.call(beta.api.copies.GetUpload, copies_pb2.GetUploadRequest(sha256=digest)).size_bytes
    assert there == CHUNK
    bring(beta, content, sha256=digest, offset=there)
    assert "whole" in look(beta, NAME)
    remove(beta, NAME)


def test_a_clone_has_the_data_and_its_own_identity_and_keeps_its_original(pair: Pair) -> None:
    alpha = pair.alpha
    before = datasets(alpha)
    request = copies_pb2.CloneJailRequest(
        name=f"jails/{NAME}", jail_id="copy", reach=copies_pb2.Reach(addresses=[OTHER])
    )
    alpha.api.done(alpha.api.call(alpha.api.copies.CloneJail, request))
    assert look(alpha, "copy") == look(alpha, NAME) + "no machine-id\n"
    assert alpha.api.sh("copy", "hostname") == "copy\n"
    alpha.api.sh("copy", "echo other >/var/kept/file")
    assert "whole" in look(alpha, NAME)
    with refused(FailedPreconditionError, "SNAPSHOTS_IN_USE"):
        remove(alpha, NAME)
    remove(alpha, "copy")
    assert datasets(alpha) == before


def test_a_clone_at_a_snapshot_is_the_jail_as_it_was(pair: Pair) -> None:
    alpha = pair.alpha
    alpha.zfs("snapshot", "-r", f"{alpha.pool}/jaild/jails/{NAME}@nightly")
    alpha.api.sh(NAME, "echo later >/var/later; echo later >/etc/motd; sync")
    before = datasets(alpha)
    request = copies_pb2.CloneJailRequest(
        name=f"jails/{NAME}",
        jail_id="copy",
        moment=copies_pb2.Moment(snapshot="nightly"),
        reach=copies_pb2.Reach(without_network=True),
    )
    alpha.api.done(alpha.api.call(alpha.api.copies.CloneJail, request))
    assert alpha.api.sh("copy", "cat /etc/motd; test -e /var/later || echo no later") == "edited\nno later\n"
    remove(alpha, "copy")
    assert datasets(alpha) == before


def test_a_renamed_jail_is_the_same_one_under_another_name(pair: Pair) -> None:
    alpha = pair.alpha
    before, seen = alpha.api.jail(NAME), look(alpha, NAME)
    alpha.api.stop(NAME)
    request = copies_pb2.RenameJailRequest(name=f"jails/{NAME}", jail_id="shop")
    alpha.api.done(alpha.api.call(alpha.api.copies.RenameJail, request))
    alpha.api.start("shop")
    assert look(alpha, "shop") == seen
    assert alpha.api.jail("shop").uid == before.uid
    assert alpha.api.names_of_jails() == ["shop"]
    alpha.api.stop("shop")
    back = copies_pb2.RenameJailRequest(name="jails/shop", jail_id=NAME)
    alpha.api.done(alpha.api.call(alpha.api.copies.RenameJail, back))
    alpha.api.start(NAME)
    assert look(alpha, NAME) == seen


def test_an_export_for_a_key_is_what_its_owner_reads(pair: Pair, tmp_path: Path) -> None:
    runner, key = ProcessRunner(), tmp_path / "key"
    asyncio.run(runner.run(["age-keygen", "-o", str(key)]))
    (recipient,) = [line.split()[-1] for line in key.read_text().splitlines() if line.startswith("# public key:")]
    content = export(pair.alpha, with_layers=True, encrypt_to=[recipient])
    with refused(InvalidArgumentError, "EXPORT_ENCRYPTED"):
        bring(pair.beta, content)
    plain = asyncio.run(runner.run(["age", "-d", "-i", str(key)], stdin=content)).stdout
    bring(pair.beta, plain)
    assert "whole" in look(pair.beta, NAME)
    remove(pair.beta, NAME)
    with refused(InvalidArgumentError, "INVALID_RECIPIENT"):
        export(pair.alpha, encrypt_to=["age1wrong"])
