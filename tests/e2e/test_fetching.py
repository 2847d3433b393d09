"""A base fetched from another real host: the same one there and here, over lost links and deaths of either daemon."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.v1 import bases_pb2, common_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import codes, refused, response, until
from tests.e2e.pair import Pair, paired
from tests.tars import file

pytestmark = pytest.mark.real(*LINUX_HOST)

BASE, LARGE = "tiny-1", "large"
_MEBIBYTES = 96  # so much that there is a middle to strike in


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    """Two hosts, of which alpha has bases."""
    with paired() as made:
        made.alpha.api.import_base(BASE, trees.base(workshop / "base.tgz"))
        ballast = file("srv/ballast", secrets.token_bytes(_MEBIBYTES << 20))
        made.alpha.api.import_base(LARGE, trees.base(workshop / "large.tgz", "1", None, ballast))
        yield made


@pytest.fixture(autouse=True)
def empty(pair: Pair) -> Iterator[None]:
    """Beta has no bases, before and after."""
    yield
    for name in pair.beta.api.names_of_bases():
        pair.beta.api.done(pair.beta.api.call(pair.beta.api.bases.DeleteBase, deletion(name)))
    assert bases_on_disk(pair) == []


def deletion(name: str) -> bases_pb2.DeleteBaseRequest:
    return bases_pb2.DeleteBaseRequest(name=f"bases/{name}")


def fetch(pair: Pair, name: str, **more: Any) -> Any:
    return pair.beta.api.import_begin(name, Path(), peer="alpha", **more)


def under_way(pair: Pair) -> Any:
    """A fetch of the large base, of which some has come."""
    operation = fetch(pair, LARGE)
    for message, told in pair.beta.api.watch(operation):
        assert not message.done, "it came too soon to be struck"
        if told.phase == "fetch" and told.bytes_done > 1 << 20:
            return operation
    raise AssertionError("nothing came of it")


def bases_on_disk(pair: Pair) -> list[str]:
    return [name for name in pair.beta.datasets() if name.startswith("/bases/")]


def guids(pair: Pair, name: str) -> list[int]:
    request = bases_pb2.GetBaseRequest(name=f"bases/{name}")
    return [node.api.call(node.api.bases.GetBase, request).guid for node in (pair.alpha, pair.beta)]


def test_it_is_the_same_base_and_its_plan_has_said_so(pair: Pair) -> None:
    planned = fetch(pair, BASE, validate_only=True)
    plan = response(planned, common_pb2.Plan())
    assert plan.steps[0].startswith(f"fetch bases/{BASE} from alpha: ")
    assert bases_on_disk(pair) == []
    pair.beta.api.done(fetch(pair, BASE))
    there, here = guids(pair, BASE)
    assert there == here
    assert str(there) in plan.steps[1]
    pair.beta.api.create("edge", trees.spec(BASE, health="[]", command=json.dumps(["/bin/sleep", "1000"])))
    assert pair.beta.api.exec("edge", "/bin/cat", "/etc/motd") == "tiny 1\n"
    pair.beta.api.delete("edge")


def test_a_jail_on_it_moves_and_on_one_of_the_same_archive_it_does_not(pair: Pair, workshop: Path) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.create("edge", trees.spec(BASE, command="[/bin/sleep, '1000']"), stopped=True)
    beta.api.import_base(BASE, workshop / "base.tgz")
    with refused(FailedPreconditionError, "PLAN_REFUSED") as caught:
        alpha.api.migrate("edge", "beta")
    assert codes(caught.value) == ["LAYER_DIFFERS"]
    beta.api.done(beta.api.call(beta.api.bases.DeleteBase, deletion(BASE)))
    beta.api.done(fetch(pair, BASE))
    alpha.api.migrate("edge", "beta")
    for node in (beta, alpha):
        node.api.delete("edge")


def test_what_cannot_be_is_refused(pair: Pair) -> None:
    with refused(NotFoundError, "PEER_UNKNOWN"):
        pair.beta.api.import_begin(BASE, Path(), peer="delta")
    with refused(NotFoundError, "BASE_NOT_FOUND"):
        pair.beta.api.done(fetch(pair, "tiny-9"))
    with refused(FailedPreconditionError, "PLAN_REFUSED") as caught:
        pair.beta.api.done(fetch(pair, BASE, sha256="0" * 64))
    assert codes(caught.value) == ["DIGEST_MISMATCH"]
    with refused(AlreadyExistsError, "BASE_EXISTS"):
        pair.alpha.api.import_begin(BASE, Path(), peer="beta")


def test_a_cancel_leaves_nothing(pair: Pair) -> None:
    operation = under_way(pair)
    pair.beta.api.cancel(operation)
    assert pair.beta.api.end(operation).HasField("error")
    assert bases_on_disk(pair) == []


def test_a_link_that_is_lost_is_tried_again(pair: Pair) -> None:
    operation = under_way(pair)
    pair.link(pair.beta, "down")
    until(lambda: away(pair, operation), 90)  # gRPC's pings find out
    pair.link(pair.beta, "up")
    pair.beta.api.done(operation)
    assert len(set(guids(pair, LARGE))) == 1


def test_a_peer_that_dies_is_waited_for(pair: Pair) -> None:
    operation = under_way(pair)
    pair.alpha.kill()
    until(lambda: away(pair, operation))
    pair.alpha.start()
    pair.beta.api.done(operation)
    assert len(set(guids(pair, LARGE))) == 1


def test_of_a_fetch_whose_daemon_dies_nothing_is_left_and_it_can_be_asked_for_again(pair: Pair) -> None:
    under_way(pair)
    pair.beta.kill()
    pair.beta.start()
    assert bases_on_disk(pair) == []
    pair.beta.api.done(fetch(pair, LARGE))
    assert len(set(guids(pair, LARGE))) == 1


def test_what_is_being_sent_is_not_destroyed(pair: Pair) -> None:
    operation = under_way(pair)
    with refused(FailedPreconditionError, "SNAPSHOTS_IN_USE"):
        pair.alpha.api.done(pair.alpha.api.call(pair.alpha.api.bases.DeleteBase, deletion(LARGE)))
    pair.beta.api.done(operation)
    assert len(set(guids(pair, LARGE))) == 1


def away(pair: Pair, operation: Any) -> bool:
    """Whether the daemon has noticed, and tries again."""
    _, told = next(pair.beta.api.watch(operation))
    return "is tried again" in told.message
