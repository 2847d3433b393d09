from google.longrunning import operations_pb2 as _operations_pb2
from jaild.v1 import common_pb2 as _common_pb2
from jaild.v1 import jails_pb2 as _jails_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdoptForeignJailRequest(_message.Message):
    __slots__ = ("tool", "foreign_name", "jail_id", "root", "base", "spec", "stop_old", "stopped", "request_id", "validate_only", "accept")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STOP_OLD_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    tool: str
    foreign_name: str
    jail_id: str
    root: str
    base: str
    spec: _jails_pb2.SpecSource
    stop_old: bool
    stopped: bool
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, tool: _Optional[str] = ..., foreign_name: _Optional[str] = ..., jail_id: _Optional[str] = ..., root: _Optional[str] = ..., base: _Optional[str] = ..., spec: _Optional[_Union[_jails_pb2.SpecSource, _Mapping]] = ..., stop_old: bool = ..., stopped: bool = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...
