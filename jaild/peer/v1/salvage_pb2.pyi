from jaild.peer.v1 import peer_pb2 as _peer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ReceiveFilesResponse(_message.Message):
    __slots__ = ("entries", "sha256")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    entries: int
    sha256: str
    def __init__(self, entries: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class FinishFilesRequest(_message.Message):
    __slots__ = ("migration", "report")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    migration: str
    report: str
    def __init__(self, migration: _Optional[str] = ..., report: _Optional[str] = ...) -> None: ...

class FinishFilesResponse(_message.Message):
    __slots__ = ("guids",)
    class GuidsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GUIDS_FIELD_NUMBER: _ClassVar[int]
    guids: _containers.ScalarMap[str, int]
    def __init__(self, guids: _Optional[_Mapping[str, int]] = ...) -> None: ...
