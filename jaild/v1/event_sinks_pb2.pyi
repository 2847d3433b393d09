from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventSink(_message.Message):
    __slots__ = ("name", "state", "kind", "destination", "filter", "cursor", "delivered_count", "last_delivery_time", "failing_since", "error", "waiting_since", "given_up_count", "dead_letter_count", "lost_count")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[EventSink.State]
        STATE_DELIVERING: _ClassVar[EventSink.State]
        STATE_FAILING: _ClassVar[EventSink.State]
        STATE_REMOVED: _ClassVar[EventSink.State]
    STATE_UNSPECIFIED: EventSink.State
    STATE_DELIVERING: EventSink.State
    STATE_FAILING: EventSink.State
    STATE_REMOVED: EventSink.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_DELIVERY_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WAITING_SINCE_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: EventSink.State
    kind: str
    destination: str
    filter: str
    cursor: int
    delivered_count: int
    last_delivery_time: _timestamp_pb2.Timestamp
    failing_since: _timestamp_pb2.Timestamp
    error: str
    waiting_since: _timestamp_pb2.Timestamp
    given_up_count: int
    dead_letter_count: int
    lost_count: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[EventSink.State, str]] = ..., kind: _Optional[str] = ..., destination: _Optional[str] = ..., filter: _Optional[str] = ..., cursor: _Optional[int] = ..., delivered_count: _Optional[int] = ..., last_delivery_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failing_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., waiting_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., given_up_count: _Optional[int] = ..., dead_letter_count: _Optional[int] = ..., lost_count: _Optional[int] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("event", "give_up_time", "error", "replay_time")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REPLAY_TIME_FIELD_NUMBER: _ClassVar[int]
    event: _events_pb2.Event
    give_up_time: _timestamp_pb2.Timestamp
    error: str
    replay_time: _timestamp_pb2.Timestamp
    def __init__(self, event: _Optional[_Union[_events_pb2.Event, _Mapping]] = ..., give_up_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., replay_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetEventSinkRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListEventSinksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEventSinksResponse(_message.Message):
    __slots__ = ("event_sinks",)
    EVENT_SINKS_FIELD_NUMBER: _ClassVar[int]
    event_sinks: _containers.RepeatedCompositeFieldContainer[EventSink]
    def __init__(self, event_sinks: _Optional[_Iterable[_Union[EventSink, _Mapping]]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ("name", "sequences", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    sequences: _containers.RepeatedScalarFieldContainer[int]
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., sequences: _Optional[_Iterable[int]] = ..., validate_only: bool = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class DiscardDeadLettersRequest(_message.Message):
    __slots__ = ("name", "sequences", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    sequences: _containers.RepeatedScalarFieldContainer[int]
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., sequences: _Optional[_Iterable[int]] = ..., validate_only: bool = ...) -> None: ...

class DiscardDeadLettersResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...
