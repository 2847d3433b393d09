from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.demo.client import Target, Writer, serve
from tests.demo.ledger import Ledger, UnknownStepError
from tests.demo.resp import BrokenReplyError, Connection, ReplyError, encode


def ledger_of(*times: float) -> Ledger:
    ledger = Ledger()
    for number, at in enumerate(times, start=1):
        ledger.acknowledge(number, at)
    return ledger


def test_a_gap_is_the_longest_interval_that_touches_the_step() -> None:
    ledger = ledger_of(0.0, 1.0, 1.5, 4.0, 4.5)
    assert ledger.longest_gap(1.2, 4.2, now=9.0) == 2.5


def test_an_interval_reaching_over_the_steps_begin_or_end_counts_whole() -> None:
    ledger = ledger_of(0.0, 3.0, 3.1, 7.0)
    assert ledger.longest_gap(2.9, 3.05, now=9.0) == 3.0
    assert ledger.longest_gap(3.05, 3.2, now=9.0) == pytest.approx(3.9)


def test_a_silence_that_has_not_ended_counts_up_to_now() -> None:
    assert ledger_of(0.0, 1.0).longest_gap(0.5, 2.0, now=6.0) == 5.0


def test_there_is_no_gap_before_the_first_acknowledgement() -> None:
    assert ledger_of(5.0, 5.5).longest_gap(0.0, 5.2, now=9.0) == 0.5
    assert Ledger().longest_gap(0.0, 5.2, now=9.0) == 0.0


def test_a_step_ends_where_the_next_one_begins() -> None:
    ledger = Ledger()
    ledger.mark("deploy", 1.0)
    ledger.mark("upgrade", 3.0)
    assert ledger.span("deploy", now=9.0) == (1.0, 3.0)
    assert ledger.span("upgrade", now=9.0) == (3.0, 9.0)


def test_a_step_unknown_or_marked_twice_is_refused() -> None:
    ledger = Ledger()
    ledger.mark("deploy", 1.0)
    with pytest.raises(UnknownStepError):
        ledger.mark("deploy", 2.0)
    with pytest.raises(UnknownStepError):
        ledger.span("upgrade", now=3.0)


def test_a_number_is_lost_when_it_was_acknowledged_and_is_not_found() -> None:
    assert ledger_of(0.1, 0.2, 0.3).lost({1, 3, 99}, 3) == [2]
    assert ledger_of(0.1, 0.2, 0.3).lost({1}, 2) == [2]  # the third came while the others were read


@dataclass
class FakeServer:
    """RPUSH and LRANGE of one list, until told to answer otherwise."""

    numbers: list[bytes] = field(default_factory=list)
    forgets: set[bytes] = field(default_factory=set)
    refusal: bytes = b""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connected)
            threading.Thread(target=self._answer_all, args=(connected,), daemon=True).start()

    def drop_connections(self) -> None:
        while self.open:
            self.open.pop().shutdown(socket.SHUT_RDWR)

    def _answer_all(self, connected: socket.socket) -> None:
        # One that was dropped ends so, whichever side was quicker; what the writer makes of that is what is tested.
        with suppress(ConnectionError), connected, connected.makefile("rb") as stream:
            while header := stream.readline():
                words = []
                for _ in range(int(header[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2])
                connected.sendall(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        if self.refusal:
            return self.refusal
        if words[0] == b"RPUSH":
            if words[2] not in self.forgets:
                self.numbers.append(words[2])
            return b":%d\r\n" % len(self.numbers)
        return encode(*self.numbers[int(words[2]) : int(words[3]) + 1])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    thread = threading.Thread(target=fake.serve, daemon=True)
    thread.start()
    yield fake
    fake.listener.shutdown(socket.SHUT_RDWR)
    fake.listener.close()
    thread.join(timeout=5)


@pytest.fixture
def writer(server: FakeServer) -> Iterator[Writer]:
    made = Writer(Target(host="127.0.0.1", port=server.port, interval=0.0005, retry=0.001))
    made.start()
    yield made
    made.stop()


def test_every_acknowledged_write_is_read_back(server: FakeServer, writer: Writer) -> None:
    assert writer.wait_for_write(5)
    writer.stop()
    acknowledged, lost = writer.verify("127.0.0.1")
    assert (acknowledged, lost) == (len(server.numbers), 0)
    assert acknowledged > 0


def test_a_write_that_was_acknowledged_and_not_kept_is_counted_as_lost(server: FakeServer) -> None:
    server.forgets.add(b"3")
    writer = Writer(Target(host="127.0.0.1", port=server.port, interval=0.0005))
    writer.start()
    while len(writer.ledger.numbers) < 5:
        assert writer.wait_for_write(5)
    writer.stop()
    assert writer.verify() == (len(writer.ledger.numbers), 1)


def test_the_writer_reconnects_with_a_new_number_and_measures_the_silence(server: FakeServer, writer: Writer) -> None:
    assert writer.wait_for_write(5)
    writer.mark("cut")
    server.drop_connections()
    assert writer.wait_for_write(5)
    assert writer.gap_of("cut") > 0
    writer.stop()
    assert writer.failures >= 1
    assert len(set(writer.ledger.numbers)) == len(writer.ledger.numbers)
    assert writer.verify()[1] == 0


def test_an_error_reply_is_no_acknowledgement(server: FakeServer) -> None:
    server.refusal = b"-LOADING not yet\r\n"
    writer = Writer(Target(host="127.0.0.1", port=server.port, retry=0.001))
    writer.start()
    assert not writer.wait_for_write(0.1)
    writer.stop()
    assert len(writer.ledger.numbers) == 0
    assert "LOADING" in writer.last_error


def test_the_gap_of_a_step_waits_until_the_service_speaks_again(server: FakeServer, writer: Writer) -> None:
    assert writer.wait_for_write(5)
    writer.mark("outage")
    server.refusal = b"-LOADING not yet\r\n"
    server.drop_connections()
    back = threading.Timer(0.15, setattr, (server, "refusal", b""))
    back.start()
    gap = writer.gap_of("outage", settle=5)
    back.join()
    assert 0.05 < gap < 4


def test_orders_are_answered_one_line_each_and_a_wrong_one_with_its_error(writer: Writer) -> None:
    orders = [{"do": "wait", "timeout": 5.0}, {"do": "mark", "step": "a"}, {"do": "gap", "step": "b"}, {"do": "dance"}]
    answers = io.StringIO()
    serve(writer, io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), answers)
    waited, marked, unknown, nonsense = map(json.loads, answers.getvalue().splitlines())
    assert waited == {"written": True}
    assert marked == {}
    assert "'b' was never marked" in unknown["error"]
    assert "no such order" in nonsense["error"]


def conversation(answer: bytes) -> Connection:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    ours.settimeout(5)
    connection = Connection(ours)
    connection.peer = theirs  # type: ignore[attr-defined]  # lives as long as the connection
    return connection


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_what_is_encoded_reads_back_as_the_same_words(words: list[bytes]) -> None:
    with conversation(encode(*words)) as connection:
        assert connection.command("x") == words


def test_an_error_reply_is_raised_with_its_text() -> None:
    with conversation(b"-NOAUTH say who you are\r\n") as connection, pytest.raises(ReplyError, match="NOAUTH"):
        connection.command("x")


@pytest.mark.parametrize("answer", [b"", b"+OK", b"$5\r\nabc", b"HTTP/1.1 400\r\n"])
def test_a_reply_cut_short_or_foreign_is_refused(answer: bytes) -> None:
    with conversation(answer) as connection, pytest.raises(BrokenReplyError):
        connection.command("x")
