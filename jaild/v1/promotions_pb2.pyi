from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PromoteJailRequest(_message.Message):
    __slots__ = ("name", "owner_is_down", "confirm", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_IS_DOWN_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner_is_down: bool
    confirm: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., owner_is_down: bool = ..., confirm: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class AdoptJailRequest(_message.Message):
    __slots__ = ("name", "confirm", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    confirm: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., confirm: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class ForceStartJailRequest(_message.Message):
    __slots__ = ("name", "confirm", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    confirm: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., confirm: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...
