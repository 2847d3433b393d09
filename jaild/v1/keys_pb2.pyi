from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetJailKeysRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LoadJailKeyRequest(_message.Message):
    __slots__ = ("name", "key", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    key: bytes
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., key: _Optional[bytes] = ..., validate_only: bool = ...) -> None: ...

class UnloadJailKeyRequest(_message.Message):
    __slots__ = ("name", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class JailKeys(_message.Message):
    __slots__ = ("source", "keyformat", "datasets")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEYFORMAT_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    source: str
    keyformat: str
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetKey]
    def __init__(self, source: _Optional[str] = ..., keyformat: _Optional[str] = ..., datasets: _Optional[_Iterable[_Union[DatasetKey, _Mapping]]] = ...) -> None: ...

class DatasetKey(_message.Message):
    __slots__ = ("path", "available", "encryption_root")
    PATH_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_ROOT_FIELD_NUMBER: _ClassVar[int]
    path: str
    available: bool
    encryption_root: str
    def __init__(self, path: _Optional[str] = ..., available: bool = ..., encryption_root: _Optional[str] = ...) -> None: ...
