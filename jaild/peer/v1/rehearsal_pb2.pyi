from jaild.peer.v1 import peer_pb2 as _peer_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RehearseRequest(_message.Message):
    __slots__ = ("migration", "keep_copy")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    KEEP_COPY_FIELD_NUMBER: _ClassVar[int]
    migration: str
    keep_copy: bool
    def __init__(self, migration: _Optional[str] = ..., keep_copy: bool = ...) -> None: ...

class RehearseResponse(_message.Message):
    __slots__ = ("healthy", "message", "checks", "log", "parts")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    message: str
    checks: str
    log: str
    parts: _peer_pb2.DowntimeParts
    def __init__(self, healthy: bool = ..., message: _Optional[str] = ..., checks: _Optional[str] = ..., log: _Optional[str] = ..., parts: _Optional[_Union[_peer_pb2.DowntimeParts, _Mapping]] = ...) -> None: ...
