from jaild.peer.v1 import peer_pb2 as _peer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OfferReplicaRequest(_message.Message):
    __slots__ = ("source_id", "source_name", "jail", "interval", "others")
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    source_name: str
    jail: _peer_pb2.JailOffer
    interval: float
    others: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, source_id: _Optional[str] = ..., source_name: _Optional[str] = ..., jail: _Optional[_Union[_peer_pb2.JailOffer, _Mapping]] = ..., interval: _Optional[float] = ..., others: _Optional[_Iterable[str]] = ...) -> None: ...

class OfferReplicaResponse(_message.Message):
    __slots__ = ("findings", "missing_layers", "datasets", "round", "taken")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    MISSING_LAYERS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[_peer_pb2.PeerProblem]
    missing_layers: _containers.RepeatedScalarFieldContainer[str]
    datasets: _containers.RepeatedCompositeFieldContainer[_peer_pb2.DatasetState]
    round: str
    taken: float
    def __init__(self, findings: _Optional[_Iterable[_Union[_peer_pb2.PeerProblem, _Mapping]]] = ..., missing_layers: _Optional[_Iterable[str]] = ..., datasets: _Optional[_Iterable[_Union[_peer_pb2.DatasetState, _Mapping]]] = ..., round: _Optional[str] = ..., taken: _Optional[float] = ...) -> None: ...

class RollBackReplicaRequest(_message.Message):
    __slots__ = ("jail", "uid", "epoch", "dataset", "guid")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    GUID_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    epoch: int
    dataset: str
    guid: int
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ..., epoch: _Optional[int] = ..., dataset: _Optional[str] = ..., guid: _Optional[int] = ...) -> None: ...

class RollBackReplicaResponse(_message.Message):
    __slots__ = ("destroyed",)
    DESTROYED_FIELD_NUMBER: _ClassVar[int]
    destroyed: int
    def __init__(self, destroyed: _Optional[int] = ...) -> None: ...

class CompleteRoundRequest(_message.Message):
    __slots__ = ("jail", "uid", "epoch", "round", "taken", "guids")
    class GuidsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    GUIDS_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    epoch: int
    round: str
    taken: float
    guids: _containers.ScalarMap[str, int]
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ..., epoch: _Optional[int] = ..., round: _Optional[str] = ..., taken: _Optional[float] = ..., guids: _Optional[_Mapping[str, int]] = ...) -> None: ...

class CompleteRoundResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WithdrawReplicaRequest(_message.Message):
    __slots__ = ("jail", "uid", "epoch")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    epoch: int
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class WithdrawReplicaResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetOwnershipRequest(_message.Message):
    __slots__ = ("jail", "uid")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ...) -> None: ...

class GetOwnershipResponse(_message.Message):
    __slots__ = ("state", "owner", "owner_name", "epoch", "taken", "since", "at")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    OWNER_NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    state: str
    owner: str
    owner_name: str
    epoch: int
    taken: float
    since: float
    at: float
    def __init__(self, state: _Optional[str] = ..., owner: _Optional[str] = ..., owner_name: _Optional[str] = ..., epoch: _Optional[int] = ..., taken: _Optional[float] = ..., since: _Optional[float] = ..., at: _Optional[float] = ...) -> None: ...

class HandOverRequest(_message.Message):
    __slots__ = ("jail", "uid", "target", "request_id")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    target: str
    request_id: str
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ..., target: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class HandOverResponse(_message.Message):
    __slots__ = ("done", "reason", "message")
    DONE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    done: bool
    reason: str
    message: str
    def __init__(self, done: bool = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SupersedeRequest(_message.Message):
    __slots__ = ("jail", "uid", "epoch", "owner", "owner_name", "since", "at")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    OWNER_NAME_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    jail: str
    uid: str
    epoch: int
    owner: str
    owner_name: str
    since: float
    at: float
    def __init__(self, jail: _Optional[str] = ..., uid: _Optional[str] = ..., epoch: _Optional[int] = ..., owner: _Optional[str] = ..., owner_name: _Optional[str] = ..., since: _Optional[float] = ..., at: _Optional[float] = ...) -> None: ...

class SupersedeResponse(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...
