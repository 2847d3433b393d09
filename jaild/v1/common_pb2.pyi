from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_NOTE: _ClassVar[Severity]

class PhaseOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_OUTCOME_UNSPECIFIED: _ClassVar[PhaseOutcome]
    PHASE_OUTCOME_DONE: _ClassVar[PhaseOutcome]
    PHASE_OUTCOME_FAILED: _ClassVar[PhaseOutcome]
    PHASE_OUTCOME_UNDONE: _ClassVar[PhaseOutcome]
    PHASE_OUTCOME_CLEANUP_PENDING: _ClassVar[PhaseOutcome]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_ERROR: Severity
SEVERITY_WARNING: Severity
SEVERITY_NOTE: Severity
PHASE_OUTCOME_UNSPECIFIED: PhaseOutcome
PHASE_OUTCOME_DONE: PhaseOutcome
PHASE_OUTCOME_FAILED: PhaseOutcome
PHASE_OUTCOME_UNDONE: PhaseOutcome
PHASE_OUTCOME_CLEANUP_PENDING: PhaseOutcome

class Problem(_message.Message):
    __slots__ = ("severity", "code", "message", "subject", "hint", "evidence")
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    severity: Severity
    code: str
    message: str
    subject: str
    hint: str
    evidence: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, severity: _Optional[_Union[Severity, str]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., subject: _Optional[str] = ..., hint: _Optional[str] = ..., evidence: _Optional[_Iterable[str]] = ...) -> None: ...

class AcceptedProblem(_message.Message):
    __slots__ = ("code", "subject", "reason", "accepted_by")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_BY_FIELD_NUMBER: _ClassVar[int]
    code: str
    subject: str
    reason: str
    accepted_by: str
    def __init__(self, code: _Optional[str] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., accepted_by: _Optional[str] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("kind", "target", "steps", "problems", "from_generation", "to_generation", "base", "release", "frees_bytes", "unchanged", "from_base", "from_release", "changes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    FROM_GENERATION_FIELD_NUMBER: _ClassVar[int]
    TO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FREES_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    FROM_BASE_FIELD_NUMBER: _ClassVar[int]
    FROM_RELEASE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    target: str
    steps: _containers.RepeatedScalarFieldContainer[str]
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    from_generation: int
    to_generation: int
    base: str
    release: str
    frees_bytes: int
    unchanged: bool
    from_base: str
    from_release: str
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, kind: _Optional[str] = ..., target: _Optional[str] = ..., steps: _Optional[_Iterable[str]] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., from_generation: _Optional[int] = ..., to_generation: _Optional[int] = ..., base: _Optional[str] = ..., release: _Optional[str] = ..., frees_bytes: _Optional[int] = ..., unchanged: bool = ..., from_base: _Optional[str] = ..., from_release: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("field", "before", "after")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    field: str
    before: str
    after: str
    def __init__(self, field: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class OperationMetadata(_message.Message):
    __slots__ = ("kind", "target", "phase", "message", "actor", "request_id", "create_time", "update_time", "bytes_done", "bytes_total", "predicted_downtime", "downtime", "plan", "rounds", "facts", "cancel_requested", "bytes_per_second", "phases", "predicted_at_least")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    target: str
    phase: str
    message: str
    actor: str
    request_id: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    bytes_done: int
    bytes_total: int
    predicted_downtime: _duration_pb2.Duration
    downtime: _duration_pb2.Duration
    plan: Plan
    rounds: int
    facts: _containers.ScalarMap[str, str]
    cancel_requested: bool
    bytes_per_second: int
    phases: _containers.RepeatedCompositeFieldContainer[PhaseReport]
    predicted_at_least: bool
    def __init__(self, kind: _Optional[str] = ..., target: _Optional[str] = ..., phase: _Optional[str] = ..., message: _Optional[str] = ..., actor: _Optional[str] = ..., request_id: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., bytes_done: _Optional[int] = ..., bytes_total: _Optional[int] = ..., predicted_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., rounds: _Optional[int] = ..., facts: _Optional[_Mapping[str, str]] = ..., cancel_requested: bool = ..., bytes_per_second: _Optional[int] = ..., phases: _Optional[_Iterable[_Union[PhaseReport, _Mapping]]] = ..., predicted_at_least: bool = ...) -> None: ...

class PhaseReport(_message.Message):
    __slots__ = ("name", "start_offset", "duration", "outcome")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_offset: _duration_pb2.Duration
    duration: _duration_pb2.Duration
    outcome: PhaseOutcome
    def __init__(self, name: _Optional[str] = ..., start_offset: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., outcome: _Optional[_Union[PhaseOutcome, str]] = ...) -> None: ...
