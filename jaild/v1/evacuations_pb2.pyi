from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from jaild.v1 import host_pb2 as _host_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evacuation(_message.Message):
    __slots__ = ("name", "targets", "parallel", "bandwidth", "max_downtime", "proceed_over_budget", "actor", "create_time", "end_time", "moves")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    MAX_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    PROCEED_OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    targets: _containers.RepeatedScalarFieldContainer[str]
    parallel: int
    bandwidth: int
    max_downtime: _duration_pb2.Duration
    proceed_over_budget: bool
    actor: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    moves: _containers.RepeatedCompositeFieldContainer[JailMove]
    def __init__(self, name: _Optional[str] = ..., targets: _Optional[_Iterable[str]] = ..., parallel: _Optional[int] = ..., bandwidth: _Optional[int] = ..., max_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., proceed_over_budget: bool = ..., actor: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., moves: _Optional[_Iterable[_Union[JailMove, _Mapping]]] = ...) -> None: ...

class JailMove(_message.Message):
    __slots__ = ("jail", "target", "state", "priority", "expected_bytes", "sent_bytes", "attempts", "operation", "downtime", "duration", "reason", "message", "hint")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[JailMove.State]
        STATE_WAITING: _ClassVar[JailMove.State]
        STATE_MOVING: _ClassVar[JailMove.State]
        STATE_MOVED: _ClassVar[JailMove.State]
        STATE_UNHEALTHY: _ClassVar[JailMove.State]
        STATE_FAILED: _ClassVar[JailMove.State]
        STATE_SKIPPED: _ClassVar[JailMove.State]
    STATE_UNSPECIFIED: JailMove.State
    STATE_WAITING: JailMove.State
    STATE_MOVING: JailMove.State
    STATE_MOVED: JailMove.State
    STATE_UNHEALTHY: JailMove.State
    STATE_FAILED: JailMove.State
    STATE_SKIPPED: JailMove.State
    JAIL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    jail: str
    target: str
    state: JailMove.State
    priority: int
    expected_bytes: int
    sent_bytes: int
    attempts: int
    operation: str
    downtime: _duration_pb2.Duration
    duration: _duration_pb2.Duration
    reason: str
    message: str
    hint: str
    def __init__(self, jail: _Optional[str] = ..., target: _Optional[str] = ..., state: _Optional[_Union[JailMove.State, str]] = ..., priority: _Optional[int] = ..., expected_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., attempts: _Optional[int] = ..., operation: _Optional[str] = ..., downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class EvacuateHostRequest(_message.Message):
    __slots__ = ("targets", "parallel", "bandwidth", "max_downtime", "proceed_over_budget", "request_id", "validate_only")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    MAX_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    PROCEED_OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedScalarFieldContainer[str]
    parallel: int
    bandwidth: int
    max_downtime: _duration_pb2.Duration
    proceed_over_budget: bool
    request_id: str
    validate_only: bool
    def __init__(self, targets: _Optional[_Iterable[str]] = ..., parallel: _Optional[int] = ..., bandwidth: _Optional[int] = ..., max_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., proceed_over_budget: bool = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class GetEvacuationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListEvacuationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEvacuationsResponse(_message.Message):
    __slots__ = ("evacuations", "next_page_token")
    EVACUATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evacuations: _containers.RepeatedCompositeFieldContainer[Evacuation]
    next_page_token: str
    def __init__(self, evacuations: _Optional[_Iterable[_Union[Evacuation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DrainHostRequest(_message.Message):
    __slots__ = ("reason", "validate_only")
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    validate_only: bool
    def __init__(self, reason: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class UndrainHostRequest(_message.Message):
    __slots__ = ("validate_only",)
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    validate_only: bool
    def __init__(self, validate_only: bool = ...) -> None: ...
