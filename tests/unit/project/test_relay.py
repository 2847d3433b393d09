"""The link that a soak cuts where hosts have no network of their own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.relay import Address, Relay

PATIENCE = 5.0  # seconds for what must come
SILENCE = 0.1  # seconds in which what must not come would have come


@pytest.fixture
def echo() -> Iterator[Address]:
    """A server that sends back what it gets, to one caller after the other."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = server.accept()
                with connection:
                    while piece := connection.recv(100):
                        connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def here() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: Address = free.getsockname()
        return address


def test_what_is_sent_on_a_cut_link_arrives_when_it_is_back(echo: Address, here: Address) -> None:
    with Relay({here: echo}).running() as relay, socket.create_connection(here, PATIENCE) as caller:
        caller.sendall(b"before")
        assert caller.recv(100) == b"before"
        relay.down()
        caller.sendall(b"while cut")
        caller.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            caller.recv(100)
        caller.settimeout(PATIENCE)
        relay.up()
        assert caller.recv(100) == b"while cut"


def test_nobody_is_told_of_an_end_on_a_cut_link(echo: Address, here: Address) -> None:
    with Relay({here: echo}).running() as relay:
        with socket.create_connection(here, PATIENCE) as gone:
            gone.sendall(b"x")
            assert gone.recv(1) == b"x"
            relay.down()
        with socket.create_connection(here, SILENCE) as next_one:  # the server still has the one that is gone
            next_one.sendall(b"y")
            with pytest.raises(TimeoutError):
                next_one.recv(1)
            next_one.settimeout(PATIENCE)
            relay.up()
            assert next_one.recv(1) == b"y"


def test_a_caller_of_a_host_that_is_dead_is_hung_up_on(here: Address) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        dead: Address = nobody.getsockname()
    with Relay({here: dead}).running(), socket.create_connection(here, PATIENCE) as caller:
        assert caller.recv(1) == b""
