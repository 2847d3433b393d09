from google.longrunning import operations_pb2 as _operations_pb2
from jaild.v1 import bases_pb2 as _bases_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class InstallBaseRequest(_message.Message):
    __slots__ = ("base_id", "repository", "packages", "abi", "osversion", "request_id", "validate_only")
    BASE_ID_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    ABI_FIELD_NUMBER: _ClassVar[int]
    OSVERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    base_id: str
    repository: str
    packages: _containers.RepeatedScalarFieldContainer[str]
    abi: str
    osversion: int
    request_id: str
    validate_only: bool
    def __init__(self, base_id: _Optional[str] = ..., repository: _Optional[str] = ..., packages: _Optional[_Iterable[str]] = ..., abi: _Optional[str] = ..., osversion: _Optional[int] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class PatchBaseRequest(_message.Message):
    __slots__ = ("base_id", "parent", "request_id", "validate_only")
    BASE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    base_id: str
    parent: str
    request_id: str
    validate_only: bool
    def __init__(self, base_id: _Optional[str] = ..., parent: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...
