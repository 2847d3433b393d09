from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HelloRequest(_message.Message):
    __slots__ = ("host_id", "host_name", "protocol")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    host_name: str
    protocol: int
    def __init__(self, host_id: _Optional[str] = ..., host_name: _Optional[str] = ..., protocol: _Optional[int] = ...) -> None: ...

class HelloResponse(_message.Message):
    __slots__ = ("host_id", "host_name", "protocol", "zfs_implementation", "resumable_receive", "pool_features", "family", "machine", "osreldate", "available_bytes", "memory_total_bytes", "memory_free_bytes", "memory_promised_bytes", "cpus", "apart", "draining")
    class ApartEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ZFS_IMPLEMENTATION_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_RECEIVE_FIELD_NUMBER: _ClassVar[int]
    POOL_FEATURES_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    OSRELDATE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PROMISED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    APART_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    host_name: str
    protocol: int
    zfs_implementation: str
    resumable_receive: bool
    pool_features: _containers.RepeatedScalarFieldContainer[str]
    family: str
    machine: str
    osreldate: int
    available_bytes: int
    memory_total_bytes: int
    memory_free_bytes: int
    memory_promised_bytes: int
    cpus: int
    apart: _containers.ScalarMap[str, int]
    draining: bool
    def __init__(self, host_id: _Optional[str] = ..., host_name: _Optional[str] = ..., protocol: _Optional[int] = ..., zfs_implementation: _Optional[str] = ..., resumable_receive: bool = ..., pool_features: _Optional[_Iterable[str]] = ..., family: _Optional[str] = ..., machine: _Optional[str] = ..., osreldate: _Optional[int] = ..., available_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., memory_promised_bytes: _Optional[int] = ..., cpus: _Optional[int] = ..., apart: _Optional[_Mapping[str, int]] = ..., draining: bool = ...) -> None: ...

class DatasetOffer(_message.Message):
    __slots__ = ("path", "properties", "size_bytes", "own_guids")
    class PropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OWN_GUIDS_FIELD_NUMBER: _ClassVar[int]
    path: str
    properties: _containers.ScalarMap[str, str]
    size_bytes: int
    own_guids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, path: _Optional[str] = ..., properties: _Optional[_Mapping[str, str]] = ..., size_bytes: _Optional[int] = ..., own_guids: _Optional[_Iterable[int]] = ...) -> None: ...

class LayerOffer(_message.Message):
    __slots__ = ("path", "guid", "origin_guid", "origin_path", "size_bytes", "record")
    PATH_FIELD_NUMBER: _ClassVar[int]
    GUID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_GUID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    path: str
    guid: int
    origin_guid: int
    origin_path: str
    size_bytes: int
    record: str
    def __init__(self, path: _Optional[str] = ..., guid: _Optional[int] = ..., origin_guid: _Optional[int] = ..., origin_path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., record: _Optional[str] = ...) -> None: ...

class JailOffer(_message.Message):
    __slots__ = ("name", "uid", "epoch", "generation", "generation_json", "datasets", "layers", "desired", "standbys", "staged", "removed_guids", "created")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_JSON_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    STANDBYS_FIELD_NUMBER: _ClassVar[int]
    STAGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_GUIDS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    epoch: int
    generation: int
    generation_json: str
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetOffer]
    layers: _containers.RepeatedCompositeFieldContainer[LayerOffer]
    desired: str
    standbys: _containers.RepeatedScalarFieldContainer[str]
    staged: Staged
    removed_guids: _containers.RepeatedScalarFieldContainer[int]
    created: float
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., epoch: _Optional[int] = ..., generation: _Optional[int] = ..., generation_json: _Optional[str] = ..., datasets: _Optional[_Iterable[_Union[DatasetOffer, _Mapping]]] = ..., layers: _Optional[_Iterable[_Union[LayerOffer, _Mapping]]] = ..., desired: _Optional[str] = ..., standbys: _Optional[_Iterable[str]] = ..., staged: _Optional[_Union[Staged, _Mapping]] = ..., removed_guids: _Optional[_Iterable[int]] = ..., created: _Optional[float] = ...) -> None: ...

class Staged(_message.Message):
    __slots__ = ("number", "etc_state", "local_etc_state", "confirm_within", "failed", "state")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ETC_STATE_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ETC_STATE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WITHIN_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    number: int
    etc_state: str
    local_etc_state: str
    confirm_within: float
    failed: str
    state: str
    def __init__(self, number: _Optional[int] = ..., etc_state: _Optional[str] = ..., local_etc_state: _Optional[str] = ..., confirm_within: _Optional[float] = ..., failed: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class PreflightRequest(_message.Message):
    __slots__ = ("migration", "source_id", "source_name", "jail", "attempt", "rehearsal")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REHEARSAL_FIELD_NUMBER: _ClassVar[int]
    migration: str
    source_id: str
    source_name: str
    jail: JailOffer
    attempt: int
    rehearsal: bool
    def __init__(self, migration: _Optional[str] = ..., source_id: _Optional[str] = ..., source_name: _Optional[str] = ..., jail: _Optional[_Union[JailOffer, _Mapping]] = ..., attempt: _Optional[int] = ..., rehearsal: bool = ...) -> None: ...

class PeerProblem(_message.Message):
    __slots__ = ("severity", "code", "message", "subject", "remedy")
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    severity: str
    code: str
    message: str
    subject: str
    remedy: str
    def __init__(self, severity: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., subject: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class PreflightResponse(_message.Message):
    __slots__ = ("findings", "missing_layers", "datasets", "layers", "parts")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    MISSING_LAYERS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[PeerProblem]
    missing_layers: _containers.RepeatedScalarFieldContainer[str]
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetState]
    layers: _containers.RepeatedCompositeFieldContainer[DatasetState]
    parts: DowntimeParts
    def __init__(self, findings: _Optional[_Iterable[_Union[PeerProblem, _Mapping]]] = ..., missing_layers: _Optional[_Iterable[str]] = ..., datasets: _Optional[_Iterable[_Union[DatasetState, _Mapping]]] = ..., layers: _Optional[_Iterable[_Union[DatasetState, _Mapping]]] = ..., parts: _Optional[_Union[DowntimeParts, _Mapping]] = ...) -> None: ...

class DatasetState(_message.Message):
    __slots__ = ("path", "snapshot_guids", "resume_token")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_GUIDS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    path: str
    snapshot_guids: _containers.RepeatedScalarFieldContainer[int]
    resume_token: str
    def __init__(self, path: _Optional[str] = ..., snapshot_guids: _Optional[_Iterable[int]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class BeginRequest(_message.Message):
    __slots__ = ("offer",)
    OFFER_FIELD_NUMBER: _ClassVar[int]
    offer: PreflightRequest
    def __init__(self, offer: _Optional[_Union[PreflightRequest, _Mapping]] = ...) -> None: ...

class BeginResponse(_message.Message):
    __slots__ = ("preflight",)
    PREFLIGHT_FIELD_NUMBER: _ClassVar[int]
    preflight: PreflightResponse
    def __init__(self, preflight: _Optional[_Union[PreflightResponse, _Mapping]] = ...) -> None: ...

class ReceiveRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ReceiveHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ReceiveHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ReceiveHeader(_message.Message):
    __slots__ = ("migration", "layer", "dataset", "tag", "guid", "base_guid", "origin_path", "attempt", "resume_token", "urgent")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    GUID_FIELD_NUMBER: _ClassVar[int]
    BASE_GUID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_PATH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    URGENT_FIELD_NUMBER: _ClassVar[int]
    migration: str
    layer: str
    dataset: str
    tag: str
    guid: int
    base_guid: int
    origin_path: str
    attempt: int
    resume_token: str
    urgent: bool
    def __init__(self, migration: _Optional[str] = ..., layer: _Optional[str] = ..., dataset: _Optional[str] = ..., tag: _Optional[str] = ..., guid: _Optional[int] = ..., base_guid: _Optional[int] = ..., origin_path: _Optional[str] = ..., attempt: _Optional[int] = ..., resume_token: _Optional[str] = ..., urgent: bool = ...) -> None: ...

class ReceiveResponse(_message.Message):
    __slots__ = ("guid", "bytes")
    GUID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    guid: int
    bytes: int
    def __init__(self, guid: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("migration", "epoch", "guids")
    class GuidsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GUIDS_FIELD_NUMBER: _ClassVar[int]
    migration: str
    epoch: int
    guids: _containers.ScalarMap[str, int]
    def __init__(self, migration: _Optional[str] = ..., epoch: _Optional[int] = ..., guids: _Optional[_Mapping[str, int]] = ...) -> None: ...

class PrepareResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DowntimeParts(_message.Message):
    __slots__ = ("stop", "flush", "snapshot", "send", "verify", "mounts", "start", "gate", "before_stop", "after_start")
    STOP_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_STOP_FIELD_NUMBER: _ClassVar[int]
    AFTER_START_FIELD_NUMBER: _ClassVar[int]
    stop: float
    flush: float
    snapshot: float
    send: float
    verify: float
    mounts: float
    start: float
    gate: float
    before_stop: float
    after_start: float
    def __init__(self, stop: _Optional[float] = ..., flush: _Optional[float] = ..., snapshot: _Optional[float] = ..., send: _Optional[float] = ..., verify: _Optional[float] = ..., mounts: _Optional[float] = ..., start: _Optional[float] = ..., gate: _Optional[float] = ..., before_stop: _Optional[float] = ..., after_start: _Optional[float] = ...) -> None: ...

class ActivateRequest(_message.Message):
    __slots__ = ("migration", "epoch", "so_far")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SO_FAR_FIELD_NUMBER: _ClassVar[int]
    migration: str
    epoch: int
    so_far: SoFar
    def __init__(self, migration: _Optional[str] = ..., epoch: _Optional[int] = ..., so_far: _Optional[_Union[SoFar, _Mapping]] = ...) -> None: ...

class SoFar(_message.Message):
    __slots__ = ("down", "predicted", "predicted_at_least", "rounds", "bytes")
    DOWN_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    down: float
    predicted: float
    predicted_at_least: bool
    rounds: int
    bytes: int
    def __init__(self, down: _Optional[float] = ..., predicted: _Optional[float] = ..., predicted_at_least: bool = ..., rounds: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class ActivateResponse(_message.Message):
    __slots__ = ("healthy", "message", "parts", "up")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    message: str
    parts: DowntimeParts
    up: float
    def __init__(self, healthy: bool = ..., message: _Optional[str] = ..., parts: _Optional[_Union[DowntimeParts, _Mapping]] = ..., up: _Optional[float] = ...) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: str
    def __init__(self, migration: _Optional[str] = ...) -> None: ...

class AbortResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: str
    def __init__(self, migration: _Optional[str] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("outcome", "epoch")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    epoch: int
    def __init__(self, outcome: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...
