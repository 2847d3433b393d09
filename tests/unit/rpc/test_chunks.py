"""Chunks on the wire: the bytes that protobuf writes, and what protobuf reads."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from jaild.peer.v1 import peer_pb2
from jaild.rpc import chunks
from jaild.rpc.chunks import Chunk
from jaild.v1 import bases_pb2, host_pb2

KINDS = (peer_pb2.ReceiveRequest, bases_pb2.ImportBaseRequest)
LENGTHS = (0, 1, 127, 128, 129, 16383, 16384, 16385, (1 << 20) - 5, 1 << 20, (2 << 20) + 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_chunk_is_written_and_read_as_protobuf_does(
    kind: type[peer_pb2.ReceiveRequest | bases_pb2.ImportBaseRequest], length: int
) -> None:
    content = bytes(range(251)) * (length // 251 + 1)
    content = content[:length]
    message = kind(chunk=content).SerializeToString()
    assert chunks.written(kind, content) == message
    read = chunks.reader(kind.FromString)(message)
    assert isinstance(read, Chunk)
    assert (read.WhichOneof("part"), read.content) == ("chunk", content)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        peer_pb2.ReceiveRequest(header=peer_pb2.ReceiveHeader(migration="m")).SerializeToString(),
        peer_pb2.ReceiveRequest(chunk=b"a").SerializeToString() * 2,  # of a field that comes twice the last counts
        peer_pb2.ReceiveRequest(chunk=b"a").SerializeToString() + b"\xf8\x01\x01",  # and a field that is not known
        b"\x12\x81\x00a",  # a length that is longer than it had to be
    ],
)
def test_what_is_not_just_a_chunk_is_left_to_protobuf(message: bytes) -> None:
    read = chunks.reader(peer_pb2.ReceiveRequest.FromString)(message)
    assert read == peer_pb2.ReceiveRequest.FromString(message)


@pytest.mark.parametrize("message", [b"\x12", b"\x12\x05abc", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"])
def test_what_is_cut_short_is_no_message(message: bytes) -> None:
    with pytest.raises(DecodeError):
        chunks.reader(peer_pb2.ReceiveRequest.FromString)(message)


def test_a_message_without_chunks_is_read_as_ever() -> None:
    parse = host_pb2.GetHostRequest.FromString
    assert chunks.reader(parse) == parse
