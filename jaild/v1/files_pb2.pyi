from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadFilesRequest(_message.Message):
    __slots__ = ("name", "path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class ReadFilesResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[FileRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[FileRecord, _Mapping]]] = ...) -> None: ...

class FileRecord(_message.Message):
    __slots__ = ("entry", "data")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    entry: FileEntry
    data: FileData
    def __init__(self, entry: _Optional[_Union[FileEntry, _Mapping]] = ..., data: _Optional[_Union[FileData, _Mapping]] = ...) -> None: ...

class FileEntry(_message.Message):
    __slots__ = ("path", "kind", "mode", "uid", "gid", "modify_time", "size", "target")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[FileEntry.Kind]
        KIND_FILE: _ClassVar[FileEntry.Kind]
        KIND_FOLDER: _ClassVar[FileEntry.Kind]
        KIND_SYMLINK: _ClassVar[FileEntry.Kind]
        KIND_HARDLINK: _ClassVar[FileEntry.Kind]
        KIND_PIPE: _ClassVar[FileEntry.Kind]
        KIND_SKIPPED: _ClassVar[FileEntry.Kind]
    KIND_UNSPECIFIED: FileEntry.Kind
    KIND_FILE: FileEntry.Kind
    KIND_FOLDER: FileEntry.Kind
    KIND_SYMLINK: FileEntry.Kind
    KIND_HARDLINK: FileEntry.Kind
    KIND_PIPE: FileEntry.Kind
    KIND_SKIPPED: FileEntry.Kind
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    MODIFY_TIME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    kind: FileEntry.Kind
    mode: int
    uid: int
    gid: int
    modify_time: _timestamp_pb2.Timestamp
    size: int
    target: bytes
    def __init__(self, path: _Optional[bytes] = ..., kind: _Optional[_Union[FileEntry.Kind, str]] = ..., mode: _Optional[int] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ..., modify_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[int] = ..., target: _Optional[bytes] = ...) -> None: ...

class FileData(_message.Message):
    __slots__ = ("offset", "content")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    content: bytes
    def __init__(self, offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class WriteFilesRequest(_message.Message):
    __slots__ = ("start", "records")
    START_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    start: WriteFilesStart
    records: FileRecords
    def __init__(self, start: _Optional[_Union[WriteFilesStart, _Mapping]] = ..., records: _Optional[_Union[FileRecords, _Mapping]] = ...) -> None: ...

class FileRecords(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[FileRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[FileRecord, _Mapping]]] = ...) -> None: ...

class WriteFilesStart(_message.Message):
    __slots__ = ("name", "path", "base_name", "preserve", "owner", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_NAME_FIELD_NUMBER: _ClassVar[int]
    PRESERVE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    base_name: bytes
    preserve: bool
    owner: FileOwner
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., base_name: _Optional[bytes] = ..., preserve: bool = ..., owner: _Optional[_Union[FileOwner, _Mapping]] = ..., validate_only: bool = ...) -> None: ...

class FileOwner(_message.Message):
    __slots__ = ("uid", "gid")
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    uid: int
    gid: int
    def __init__(self, uid: _Optional[int] = ..., gid: _Optional[int] = ...) -> None: ...

class WriteFilesResponse(_message.Message):
    __slots__ = ("path", "entries", "bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    entries: int
    bytes: int
    def __init__(self, path: _Optional[str] = ..., entries: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...
