"""Lists of jails: what a page of one takes does not grow with all the jails that there are."""

from __future__ import annotations

import msgspec
import pytest

from jaild.jails.rpc import JailMessages, JailsServicer
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired
from jaild.model.operation import Operation
from jaild.model.views import JailView
from jaild.v1 import jails_pb2
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import create

SPEC = JailSpec(base="deb-1", app="web/1")
OPERATION = Operation(id="1", kind="start", target="jails/web", actor="tester", created=1.0)


async def test_a_page_looks_at_its_own_jails_only(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcdef":
        await create(host, SPEC, name=name)
    looks: list[str] = []
    view = host.core.inventory.jail_view

    def counted(name: str, under_way: Operation | None = None) -> JailView:
        looks.append(name)
        return view(name, under_way)

    monkeypatch.setattr(host.core.inventory, "jail_view", counted)
    monkeypatch.setattr("jaild.jails.rpc.current", caller)
    token, pages = "", list[list[str]]()
    while not pages or token:
        token, names = await page(host, token)
        pages.append(names)
    assert pages == [["jails/a", "jails/b"], ["jails/c", "jails/d"], ["jails/e", "jails/f"]]
    assert looks == [*"abcdef"]


async def page(host: FakeHost, token: str = "", *, wanted: str = "") -> tuple[str, list[str]]:
    """Ask for two jails; return the token of the next page, and their names."""
    servicer = JailsServicer(host.core.use_cases.jails, JailMessages(), host.core.rooms.engine.messages)
    request = jails_pb2.ListJailsRequest(page_size=2, page_token=token, filter=wanted)
    answer = await servicer.ListJails(request, None)  # type: ignore[arg-type]  # its context is not looked at
    found = jails_pb2.ListJailsResponse.FromString(answer)
    return found.next_page_token, [jail.name for jail in found.jails]


async def test_a_jail_that_goes_while_it_is_listed_is_left_out(host: FakeHost) -> None:
    for name in "ab":
        await create(host, SPEC, name=name)
    names = host.core.use_cases.jails.names()
    del host.core.inventory.jails["a"]
    assert [view.name for view in host.core.use_cases.jails.list(names)] == ["b"]


def is_a_new_view(host: FakeHost, before: JailView) -> bool:
    """Whether the view has changed, and is what it would be if none had been made before."""
    inventory = host.core.inventory
    after = inventory.jail_view("web")
    inventory.jail("web").shown = None
    return after != before and after == inventory.jail_view("web")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("run", None), ("used", 17), ("message", "told"), ("unconfirmed", frozenset({"beta"}))],
)
async def test_a_view_is_the_same_until_its_jail_changes(host: FakeHost, attribute: str, value: object) -> None:
    await create(host)
    before = host.core.inventory.jail_view("web")
    assert host.core.inventory.jail_view("web") is before
    setattr(host.core.inventory.jail("web"), attribute, value)
    assert is_a_new_view(host, before)


@pytest.mark.parametrize("changes", [{"epoch": 7}, {"owner": "another"}, {"desired": Desired.STOPPED, "peer": "beta"}])
async def test_a_view_is_the_same_until_its_jails_record_changes(host: FakeHost, changes: dict[str, object]) -> None:
    await create(host)
    before, entry = host.core.inventory.jail_view("web"), host.core.inventory.jail("web")
    assert entry.record is not None
    entry.record = msgspec.structs.replace(entry.record, **changes)
    assert is_a_new_view(host, before)


@pytest.mark.parametrize(("attribute", "value"), [("shut_down", True), ("to_start", {"web"}), ("damaged", True)])
async def test_a_view_of_a_jail_that_does_not_run_tells_why(host: FakeHost, attribute: str, value: object) -> None:
    await create(host)
    inventory, entry = host.core.inventory, host.core.inventory.jail("web")
    entry.run = None
    before = inventory.jail_view("web")
    setattr(entry if attribute == "damaged" else inventory, attribute, value)
    assert is_a_new_view(host, before)


async def test_a_jail_that_is_being_made_was_not_stopped_for_the_hosts_shutdown(host: FakeHost) -> None:
    await create(host)
    entry = host.core.inventory.jail("web")
    assert entry.record is not None
    entry.record, entry.generation, entry.run = msgspec.structs.replace(entry.record, generation=0), None, None
    assert host.core.inventory.jail_view("web").message == ""


async def test_a_view_changes_with_what_is_known_of_other_hosts(host: FakeHost) -> None:
    await create(host)
    inventory, entry = host.core.inventory, host.core.inventory.jail("web")
    assert entry.record is not None
    before = inventory.jail_view("web")
    inventory.host_names[entry.record.owner] = "renamed"
    assert is_a_new_view(host, before)
    before = inventory.jail_view("web")
    inventory.known_epochs = {entry.record.uid: 99}
    assert is_a_new_view(host, before)


async def test_a_view_tells_of_the_operation_that_is_under_way_now(host: FakeHost) -> None:
    await create(host)
    inventory = host.core.inventory
    assert inventory.jail_view("web", OPERATION).operation == OPERATION.name
    assert inventory.jail_view("web").operation == ""


async def test_a_filter_chooses_over_all_pages_and_its_tokens_are_good_for_it_alone(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcde":
        labelled = msgspec.structs.replace(SPEC, labels={"of": name, "team": "cdn" if name in "ace" else "web"})
        await create(host, labelled, name=name)
    monkeypatch.setattr("jaild.jails.rpc.current", caller)
    token, names = await page(host, wanted="labels.team = cdn AND state = running")
    assert names == ["jails/a", "jails/c"]
    assert (await page(host, token, wanted="labels.team = cdn AND state = running"))[1] == ["jails/e"]
    for wrong in ("labels.team = web", ""):
        with pytest.raises(InvalidArgumentError) as refused:
            await page(host, token, wanted=wrong)
        assert refused.value.reason == "INVALID_PAGE_TOKEN"
    with pytest.raises(InvalidArgumentError) as refused:
        await page(host, wanted="colour = red")
    assert refused.value.reason == "INVALID_FILTER"
    every = "name = a AND state = running AND base = deb-1 AND release = web/1 AND app = web AND owner = alpha"
    assert (await page(host, wanted=f"{every} AND NOT channel : * AND NOT health = healthy"))[1] == ["jails/a"]
