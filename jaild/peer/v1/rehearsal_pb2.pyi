from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RehearseRequest(_message.Message):
    __slots__ = ("migration", "keep_copy")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    KEEP_COPY_FIELD_NUMBER: _ClassVar[int]
    migration: str
    keep_copy: bool
    def __init__(self, migration: _Optional[str] = ..., keep_copy: bool = ...) -> None: ...

class RehearseResponse(_message.Message):
    __slots__ = ("healthy", "seconds", "message", "checks", "log")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    seconds: float
    message: str
    checks: str
    log: str
    def __init__(self, healthy: bool = ..., seconds: _Optional[float] = ..., message: _Optional[str] = ..., checks: _Optional[str] = ..., log: _Optional[str] = ...) -> None: ...
