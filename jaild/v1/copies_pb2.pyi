from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reach(_message.Message):
    __slots__ = ("addresses", "gateway", "without_ports", "without_network")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PORTS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_NETWORK_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    gateway: str
    without_ports: bool
    without_network: bool
    def __init__(self, addresses: _Optional[_Iterable[str]] = ..., gateway: _Optional[str] = ..., without_ports: bool = ..., without_network: bool = ...) -> None: ...

class Moment(_message.Message):
    __slots__ = ("snapshot", "time")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    snapshot: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, snapshot: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CloneJailRequest(_message.Message):
    __slots__ = ("name", "jail_id", "moment", "reach", "stopped", "request_id", "validate_only", "accept")
    NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    REACH_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    jail_id: str
    moment: Moment
    reach: Reach
    stopped: bool
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, name: _Optional[str] = ..., jail_id: _Optional[str] = ..., moment: _Optional[_Union[Moment, _Mapping]] = ..., reach: _Optional[_Union[Reach, _Mapping]] = ..., stopped: bool = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...

class RenameJailRequest(_message.Message):
    __slots__ = ("name", "jail_id", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    jail_id: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., jail_id: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class ExportJailRequest(_message.Message):
    __slots__ = ("name", "moment", "portable", "with_layers", "encrypt_to", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    PORTABLE_FIELD_NUMBER: _ClassVar[int]
    WITH_LAYERS_FIELD_NUMBER: _ClassVar[int]
    ENCRYPT_TO_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    moment: Moment
    portable: bool
    with_layers: bool
    encrypt_to: _containers.RepeatedScalarFieldContainer[str]
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., moment: _Optional[_Union[Moment, _Mapping]] = ..., portable: bool = ..., with_layers: bool = ..., encrypt_to: _Optional[_Iterable[str]] = ..., validate_only: bool = ...) -> None: ...

class ExportJailResponse(_message.Message):
    __slots__ = ("plan", "chunk")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    plan: _common_pb2.Plan
    chunk: bytes
    def __init__(self, plan: _Optional[_Union[_common_pb2.Plan, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportJailRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImportJailHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImportJailHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportJailHeader(_message.Message):
    __slots__ = ("jail_id", "path", "sha256", "size_bytes", "offset", "reach", "keep_identity", "stopped", "request_id", "validate_only", "accept")
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    REACH_FIELD_NUMBER: _ClassVar[int]
    KEEP_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    jail_id: str
    path: str
    sha256: str
    size_bytes: int
    offset: int
    reach: Reach
    keep_identity: bool
    stopped: bool
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, jail_id: _Optional[str] = ..., path: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., offset: _Optional[int] = ..., reach: _Optional[_Union[Reach, _Mapping]] = ..., keep_identity: bool = ..., stopped: bool = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("size_bytes",)
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    def __init__(self, size_bytes: _Optional[int] = ...) -> None: ...
