from jaild.peer.v1 import peer_pb2 as _peer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetLayerRequest(_message.Message):
    __slots__ = ("host_name", "host_id", "path")
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    host_name: str
    host_id: str
    path: str
    def __init__(self, host_name: _Optional[str] = ..., host_id: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class GetLayerResponse(_message.Message):
    __slots__ = ("layers",)
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[_peer_pb2.LayerOffer]
    def __init__(self, layers: _Optional[_Iterable[_Union[_peer_pb2.LayerOffer, _Mapping]]] = ...) -> None: ...

class SendLayerRequest(_message.Message):
    __slots__ = ("path", "guid", "resume_token", "host_name", "host_id")
    PATH_FIELD_NUMBER: _ClassVar[int]
    GUID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    path: str
    guid: int
    resume_token: str
    host_name: str
    host_id: str
    def __init__(self, path: _Optional[str] = ..., guid: _Optional[int] = ..., resume_token: _Optional[str] = ..., host_name: _Optional[str] = ..., host_id: _Optional[str] = ...) -> None: ...

class SendLayerResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
