from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListJailStatsRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class ListJailStatsResponse(_message.Message):
    __slots__ = ("jails",)
    JAILS_FIELD_NUMBER: _ClassVar[int]
    jails: _containers.RepeatedCompositeFieldContainer[JailStats]
    def __init__(self, jails: _Optional[_Iterable[_Union[JailStats, _Mapping]]] = ...) -> None: ...

class JailStats(_message.Message):
    __slots__ = ("name", "running", "cpu_seconds", "memory_bytes", "processes", "start_time", "sample_time", "cpu_limit", "memory_limit_bytes", "processes_limit", "disk_bytes", "data_bytes", "data_quota_bytes", "cpu_cores", "max_age_seconds", "read_bytes_per_second", "write_bytes_per_second", "received_bytes", "sent_bytes", "message")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    CPU_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_LIMIT_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    WRITE_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    running: bool
    cpu_seconds: float
    memory_bytes: int
    processes: int
    start_time: _timestamp_pb2.Timestamp
    sample_time: _timestamp_pb2.Timestamp
    cpu_limit: float
    memory_limit_bytes: int
    processes_limit: int
    disk_bytes: int
    data_bytes: int
    data_quota_bytes: int
    cpu_cores: float
    max_age_seconds: float
    read_bytes_per_second: int
    write_bytes_per_second: int
    received_bytes: int
    sent_bytes: int
    message: str
    def __init__(self, name: _Optional[str] = ..., running: bool = ..., cpu_seconds: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., processes: _Optional[int] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., sample_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., cpu_limit: _Optional[float] = ..., memory_limit_bytes: _Optional[int] = ..., processes_limit: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., data_bytes: _Optional[int] = ..., data_quota_bytes: _Optional[int] = ..., cpu_cores: _Optional[float] = ..., max_age_seconds: _Optional[float] = ..., read_bytes_per_second: _Optional[int] = ..., write_bytes_per_second: _Optional[int] = ..., received_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...
