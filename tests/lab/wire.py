"""The host's end of a machine's wire: a socket with a thread to read and one to write, for any event loop."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from tests.lab.frames import Kind, packed, unpack

Listener = Callable[[Kind, bytes, int], None]  # called in the reading thread


class Wire:
    """Frames to and from the agent, by channel. `GONE` comes to every listener when the machine is gone."""

    GONE = Kind.HELLO  # no agent sends it on a program's channel

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._listeners: dict[int, Listener] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._up = threading.Event()
        self._closed = False
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def wait_up(self, timeout: float) -> bool:
        """Wait until the agent answers; false if it does not in time, or if the machine ends."""
        self.send(Kind.HELLO, 0)  # qemu keeps it until the agent has opened its end
        return self._up.wait(timeout) and not self._closed

    def open(self, listener: Listener) -> int:
        """Return a new channel, whose frames go to `listener`."""
        with self._lock:
            channel = next(self._numbers)
            closed = self._closed
            if not closed:
                self._listeners[channel] = listener
        if closed:
            listener(self.GONE, b"", 0)
        return channel

    def forget(self, channel: int) -> None:
        """Drop what still comes on a channel."""
        with self._lock:
            self._listeners.pop(channel, None)

    def send(self, kind: Kind, channel: int, data: bytes = b"", number: int = 0) -> None:
        """Send a frame as soon as the machine takes it; nothing is sent to one that is gone."""
        if not self._closed:
            self._outgoing.put(packed(kind, channel, data, number))

    def close(self) -> None:
        """Take the wire down; listeners learn that the machine is gone."""
        self._outgoing.put(None)
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if not self._closed:  # the other end may be gone before
                raise AssertionError("the wire's socket is broken") from error
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _read(self) -> None:
        try:
            while True:
                kind, channel, data, number = unpack(self._exactly)
                if channel == 0:
                    self._up.set()
                    continue
                with self._lock:
                    listener = self._listeners.get(channel)
                if listener is not None:
                    listener(kind, data, number)
        except (EOFError, ConnectionResetError):
            self._gone()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def _gone(self) -> None:
        with self._lock:
            self._closed = True
            listeners, self._listeners = dict(self._listeners), {}
        self._up.set()
        self._outgoing.put(None)
        for listener in listeners.values():
            listener(self.GONE, b"", 0)

    def _write(self) -> None:
        while (data := self._outgoing.get()) is not None:
            try:
                self._socket.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                return  # the reading thread tells everybody
