from google.longrunning import operations_pb2 as _operations_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BuildReleaseRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: BuildReleaseHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[BuildReleaseHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class BuildReleaseHeader(_message.Message):
    __slots__ = ("parent", "release_id", "recipe_yaml", "recipe_source", "base", "sha256", "size_bytes", "request_id", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPE_YAML_FIELD_NUMBER: _ClassVar[int]
    RECIPE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    release_id: str
    recipe_yaml: str
    recipe_source: str
    base: str
    sha256: str
    size_bytes: int
    request_id: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., release_id: _Optional[str] = ..., recipe_yaml: _Optional[str] = ..., recipe_source: _Optional[str] = ..., base: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., **kwargs) -> None: ...

class TailBuildRequest(_message.Message):
    __slots__ = ("name", "follow")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    follow: bool
    def __init__(self, name: _Optional[str] = ..., follow: bool = ...) -> None: ...

class TailBuildResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
