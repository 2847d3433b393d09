"""What jails write comes to a receiver of syslog: every line, in order, over crashes and while nobody listens."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.jails.forwarding import Forwarding
from jaild.jails.logparts import LogParts
from jaild.jails.logs import Logs as JailLogs
from jaild.model.jails.loglines import Lines
from jaild.model.jails.logparts import Rotation
from jaild.model.jails.spec import JailSpec, Logs, Syslog
from tests.fakes.host import FakeHost
from tests.fakes.sinks import Receiver
from tests.hosts.asking import SPEC, configure, create, ended
from tests.hosts.migrating import migrate

HERE = "tcp://192.0.2.5:601"


def sending(address: str = HERE, tag: str | None = None) -> JailSpec:
    return msgspec.structs.replace(SPEC, logs=Logs(syslog=Syslog(address=address, facility="local3", tag=tag)))


@pytest.fixture
async def receiver(host: FakeHost) -> Receiver:
    """What the host's daemons send to."""
    return await heard(host)


async def heard(host: FakeHost) -> Receiver:
    host.sinks = made = Receiver()
    await host.restart()
    return made


def forwarding(host: FakeHost) -> Forwarding:
    return host.core.rooms.jails.forwarding


async def turn(host: FakeHost) -> None:
    """Look at the logs, and who is to be sent."""
    await host.core.rooms.jails.logs.look_at_all()
    await forwarding(host).look()


async def sent(host: FakeHost, receiver: Receiver, *texts: str) -> None:
    """Wait until the receiver has these lines and no more, and the daemon has written down that it has."""
    await turn(host)
    await receiver.until(lambda: len(receiver.lines) >= len(texts))
    assert [line.text.decode() for line in receiver.lines] == [*texts]
    while any(cursor.behind for cursor in forwarding(host).views().values()):
        await host.clock.sleep(1.0)


def write(host: FakeHost, text: str, jail: str = "web") -> None:
    with (host.folder / f"logs/{jail}.log").open("a") as log:
        log.write(text)


async def told(host: FakeHost, kind: str) -> list[tuple[str, str]]:
    events = host.core.use_cases.events
    return [(event.target, event.message) async for event in events.watch(0, "", follow=False) if event.kind == kind]


async def test_whole_lines_are_sent_in_order_with_who_wrote_them(host: FakeHost, receiver: Receiver) -> None:
    await create(host, sending())
    write(host, "one\n\ntwo\nthr")
    await sent(host, receiver, "one", "", "two")
    write(host, "ee\n")
    await sent(host, receiver, "one", "", "two", "three")
    record = host.core.inventory.jails["web"].record
    assert record is not None
    assert {(line.host, line.tag, line.jail, line.facility, line.severity) for line in receiver.lines} == {
        ("alpha", "web", record.uid, "local3", "info")
    }
    assert [line.position for line in receiver.lines] == [4, 5, 9, 15]
    assert (host.folder / "logs/web.log").read_text() == "one\n\ntwo\nthree\n"
    (cursor,) = forwarding(host).views().values()
    assert (cursor.sent, cursor.lost, cursor.behind) == (4, 0, 0)


async def test_all_jails_of_a_receiver_share_its_connection(host: FakeHost, receiver: Receiver) -> None:
    for jail in ("a", "b", "c"):
        await create(host, sending(tag=f"tag-{jail}"), name=jail)
        write(host, f"of {jail}\n", jail)
    await turn(host)
    await receiver.until(lambda: len(receiver.lines) >= 3)
    assert {(line.tag, line.text) for line in receiver.lines} == {
        (f"tag-{jail}", b"of %c" % ord(jail)) for jail in "abc"
    }
    assert receiver.batches == 1


async def test_the_next_daemon_goes_on_where_the_last_one_was_killed(host: FakeHost, receiver: Receiver) -> None:
    await create(host, sending())
    write(host, "one\n")
    await sent(host, receiver, "one")
    await host.kill()
    write(host, "two\n")
    await host.start()
    await sent(host, receiver, "one", "two")
    assert receiver.lines[1].position == 8


async def test_who_is_away_gets_all_of_it_later_also_of_another_daemon(host: FakeHost, receiver: Receiver) -> None:
    await create(host, sending())
    receiver.away = True
    write(host, "one\n")
    await turn(host)
    await receiver.until(lambda: receiver.tried > 1)
    (failing,) = [each for each in host.core.supervisor.statistics() if each.failures]
    assert failing.name == f"logs to {HERE}"
    assert "nobody is there" in failing.error
    assert forwarding(host).views()["web"].behind == 4
    await host.restart()
    write(host, "two\n")
    receiver.away = False
    await sent(host, receiver, "one", "two")


async def test_one_that_is_away_holds_up_no_other(host: FakeHost, receiver: Receiver) -> None:
    class OneAway(Receiver):
        async def send_lines(self, address: str, lines: object) -> None:
            self.away = address != HERE
            await super().send_lines(address, lines)  # type: ignore[arg-type]

    host.sinks = receiver = OneAway()
    await host.restart()
    await create(host, sending("udp://192.0.2.6:514"), name="other")
    await create(host, sending())
    write(host, "never\n", "other")
    write(host, "one\n")
    await turn(host)
    await receiver.until(lambda: len(receiver.lines) > 0)
    assert [line.text for line in receiver.lines] == [b"one"]


async def test_what_rotation_removed_before_it_was_sent_is_told_once_and_counted(
    host: FakeHost, receiver: Receiver
) -> None:
    await create(host, sending())
    engine, clock, folder = host.core.rooms.engine, host.clock, host.folder
    rotation = Rotation(size="4K", keep="1K")
    parts = LogParts(host.files, clock, folder / "logs", rotation)
    logs = JailLogs(host.files, host.core.supervisor, clock, parts, folder / "times")
    its = Forwarding(engine, logs, folder / "sent.json")
    receiver.away = True
    lines = [f"line {number:06} {hash(str(number)):x}" for number in range(2000)]
    write(host, "".join(f"{line}\n" for line in lines))
    await logs.look_at_all()
    await its.look()
    await receiver.until(lambda: receiver.tried > 0)
    await logs.put_away()
    write(host, "the last\n")
    await logs.look_at_all()
    receiver.away = False
    await receiver.until(lambda: bool(receiver.lines) and receiver.lines[-1].text == b"the last")
    texts = [line.text.decode() for line in receiver.lines]
    assert texts == [*lines, "the last"][-len(texts) :]
    gone = sum(len(line) + 1 for line in lines[: 1 - len(texts)])
    assert gone > 0
    assert await told(host, "log.lines_lost") == [
        ("jails/web", f"{gone} bytes of its log went by rotation before {HERE} took them")
    ]
    assert its.views()["web"].lost == gone


async def test_it_counts_from_the_generation_that_has_it_to_the_one_that_has_not(
    host: FakeHost, receiver: Receiver
) -> None:
    await create(host)
    write(host, "before\n")
    await turn(host)
    await host.clock.sleep(10)
    await configure(host, sending())
    write(host, "one\n")
    await sent(host, receiver, "one")
    await configure(host, sending("udp://192.0.2.9:514"))
    write(host, "elsewhere\n")
    await sent(host, receiver, "one", "elsewhere")
    await configure(host, SPEC)
    write(host, "nowhere\n")
    await turn(host)
    assert forwarding(host).views() == {}
    await host.clock.sleep(10)
    await configure(host, sending())
    write(host, "again\n")
    await sent(host, receiver, "one", "elsewhere", "again")


async def test_a_log_that_somebody_emptied_is_sent_from_its_beginning(host: FakeHost, receiver: Receiver) -> None:
    await create(host, sending())
    write(host, "one\ntwo\n")
    await sent(host, receiver, "one", "two")
    (host.folder / "logs/web.log").write_text("three\nfour, which is longer\n")
    await sent(host, receiver, "one", "two", "three", "four, which is longer")


async def test_so_is_one_that_was_removed_between_two_looks(host: FakeHost, receiver: Receiver) -> None:
    await create(host, sending())
    for number, text in enumerate(("one\n", "the second, which is longer\n", "three\n")):
        write(host, text)
        await sent(host, receiver, "one", *["the second, which is longer", "three"][:number])
        (host.folder / "logs/web.log").unlink()
        await host.core.rooms.jails.logs.look_at_all()


async def test_a_log_that_was_emptied_before_it_is_sent_is_sent_from_the_generation_on(
    host: FakeHost, receiver: Receiver
) -> None:
    await create(host)
    write(host, "one\n")
    await turn(host)
    (host.folder / "logs/web.log").write_text("two, which is longer\n")
    await turn(host)
    await host.clock.sleep(10)
    await configure(host, sending())
    write(host, "three\n")
    await sent(host, receiver, "three")


async def test_another_jail_of_the_same_name_is_sent_from_its_own_beginning(host: FakeHost, receiver: Receiver) -> None:
    write(host, "of one that was deleted\n")
    await turn(host)
    await host.clock.sleep(10)
    await create(host, sending())
    write(host, "its own\n")
    await sent(host, receiver, "its own")


async def test_after_a_move_each_host_sends_what_is_in_its_own_log(host: FakeHost) -> None:
    beta = FakeHost(host.folder / "beta", "beta", host.network)
    await beta.start()
    here, there = await heard(host), await heard(beta)
    await create(host, sending())
    write(host, "on alpha\n")
    await sent(host, here, "on alpha")
    moved = await ended(host, migrate(host, beta))
    assert moved.failure is None
    write(host, "the end on alpha\n")
    write(beta, "on beta\n")
    await sent(host, here, "on alpha", "the end on alpha")
    await sent(beta, there, "on beta")
    assert there.lines[0].host == "beta"
    assert there.lines[0].jail == here.lines[0].jail
    await beta.stop()


@given(st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"x", b"\n"))), st.integers(0, 99))
def test_however_a_log_is_read_its_lines_are_the_same(read: list[bytes], begin: int) -> None:
    whole, lines = b"".join(read), Lines(begin, 1000)
    found = [each for piece in read for each in lines.take(piece)]
    assert lines.read == begin + len(whole)
    found += lines.flush()
    assert [text for _, text in found] == whole.removesuffix(b"\n").split(b"\n") if whole else not found
    assert lines.position == begin + len(whole)
    assert [end for end, _ in found] == sorted({end for end, _ in found})


@given(st.text("aü€😀", max_size=60), st.integers(4, 9))
def test_a_line_that_is_too_long_comes_in_pieces_without_a_torn_character(text: str, most: int) -> None:
    lines = Lines(0, most)
    found = lines.take(text.encode()[:21]) + lines.take(text.encode()[21:] + b"\n")
    assert "".join(part.decode() for _, part in found) == text
    assert all(len(part) <= most for _, part in found)
    assert found[-1][0] == len(text.encode()) + 1
