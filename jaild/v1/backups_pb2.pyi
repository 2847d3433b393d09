from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from jaild.v1 import jails_pb2 as _jails_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListBackupTargetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBackupTargetsResponse(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[BackupTarget]
    def __init__(self, targets: _Optional[_Iterable[_Union[BackupTarget, _Mapping]]] = ...) -> None: ...

class BackupTarget(_message.Message):
    __slots__ = ("name", "destination")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    destination: str
    def __init__(self, name: _Optional[str] = ..., destination: _Optional[str] = ...) -> None: ...

class ListBackupsRequest(_message.Message):
    __slots__ = ("target", "jail")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    target: str
    jail: str
    def __init__(self, target: _Optional[str] = ..., jail: _Optional[str] = ...) -> None: ...

class ListBackupsResponse(_message.Message):
    __slots__ = ("backups",)
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    backups: _containers.RepeatedCompositeFieldContainer[Backup]
    def __init__(self, backups: _Optional[_Iterable[_Union[Backup, _Mapping]]] = ...) -> None: ...

class Backup(_message.Message):
    __slots__ = ("id", "jail", "uid", "host", "create_time", "base", "release", "size_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    jail: str
    uid: str
    host: str
    create_time: _timestamp_pb2.Timestamp
    base: str
    release: str
    size_bytes: int
    def __init__(self, id: _Optional[str] = ..., jail: _Optional[str] = ..., uid: _Optional[str] = ..., host: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., base: _Optional[str] = ..., release: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class BackUpJailRequest(_message.Message):
    __slots__ = ("name", "target", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., target: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class RestoreBackupRequest(_message.Message):
    __slots__ = ("target", "jail", "jail_id", "backup", "time", "request_id", "validate_only")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    target: str
    jail: str
    jail_id: str
    backup: str
    time: _timestamp_pb2.Timestamp
    request_id: str
    validate_only: bool
    def __init__(self, target: _Optional[str] = ..., jail: _Optional[str] = ..., jail_id: _Optional[str] = ..., backup: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...
