from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Share(_message.Message):
    __slots__ = ("number", "percent")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    percent: bool
    def __init__(self, number: _Optional[int] = ..., percent: bool = ...) -> None: ...

class RolloutPolicy(_message.Message):
    __slots__ = ("canaries", "waves", "max_parallel", "min_healthy_time", "healthy_deadline", "stagger", "failure_budget", "keep_failed", "on_breach", "deadline", "maintenance")
    class OnBreach(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_BREACH_UNSPECIFIED: _ClassVar[RolloutPolicy.OnBreach]
        ON_BREACH_PAUSE: _ClassVar[RolloutPolicy.OnBreach]
        ON_BREACH_UNDO: _ClassVar[RolloutPolicy.OnBreach]
    ON_BREACH_UNSPECIFIED: RolloutPolicy.OnBreach
    ON_BREACH_PAUSE: RolloutPolicy.OnBreach
    ON_BREACH_UNDO: RolloutPolicy.OnBreach
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    WAVES_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    MIN_HEALTHY_TIME_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    STAGGER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_BUDGET_FIELD_NUMBER: _ClassVar[int]
    KEEP_FAILED_FIELD_NUMBER: _ClassVar[int]
    ON_BREACH_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    canaries: int
    waves: _containers.RepeatedCompositeFieldContainer[Share]
    max_parallel: int
    min_healthy_time: _duration_pb2.Duration
    healthy_deadline: _duration_pb2.Duration
    stagger: _duration_pb2.Duration
    failure_budget: Share
    keep_failed: bool
    on_breach: RolloutPolicy.OnBreach
    deadline: _duration_pb2.Duration
    maintenance: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, canaries: _Optional[int] = ..., waves: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., max_parallel: _Optional[int] = ..., min_healthy_time: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., healthy_deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stagger: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., failure_budget: _Optional[_Union[Share, _Mapping]] = ..., keep_failed: bool = ..., on_breach: _Optional[_Union[RolloutPolicy.OnBreach, str]] = ..., deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., maintenance: _Optional[_Iterable[str]] = ...) -> None: ...

class RolloutSpec(_message.Message):
    __slots__ = ("base", "channel", "release", "undoes", "jails", "labels", "policy", "leave_out_refused", "accept")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BASE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    UNDOES_FIELD_NUMBER: _ClassVar[int]
    JAILS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LEAVE_OUT_REFUSED_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    base: str
    channel: str
    release: str
    undoes: str
    jails: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    policy: RolloutPolicy
    leave_out_refused: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, base: _Optional[str] = ..., channel: _Optional[str] = ..., release: _Optional[str] = ..., undoes: _Optional[str] = ..., jails: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ..., leave_out_refused: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("name", "spec", "state", "target", "actor", "create_time", "end_time", "deadline_time", "expected_duration", "expected_downtime", "expected_at_least", "message", "steps")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Rollout.State]
        STATE_RUNNING: _ClassVar[Rollout.State]
        STATE_PAUSED: _ClassVar[Rollout.State]
        STATE_CANCELLING: _ClassVar[Rollout.State]
        STATE_UNDOING: _ClassVar[Rollout.State]
        STATE_DONE: _ClassVar[Rollout.State]
        STATE_CANCELLED: _ClassVar[Rollout.State]
        STATE_UNDONE: _ClassVar[Rollout.State]
        STATE_INCOMPLETE: _ClassVar[Rollout.State]
        STATE_REFUSED: _ClassVar[Rollout.State]
    STATE_UNSPECIFIED: Rollout.State
    STATE_RUNNING: Rollout.State
    STATE_PAUSED: Rollout.State
    STATE_CANCELLING: Rollout.State
    STATE_UNDOING: Rollout.State
    STATE_DONE: Rollout.State
    STATE_CANCELLED: Rollout.State
    STATE_UNDONE: Rollout.State
    STATE_INCOMPLETE: Rollout.State
    STATE_REFUSED: Rollout.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DURATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: RolloutSpec
    state: Rollout.State
    target: str
    actor: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    deadline_time: _timestamp_pb2.Timestamp
    expected_duration: _duration_pb2.Duration
    expected_downtime: _duration_pb2.Duration
    expected_at_least: bool
    message: str
    steps: _containers.RepeatedCompositeFieldContainer[RolloutStep]
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[RolloutSpec, _Mapping]] = ..., state: _Optional[_Union[Rollout.State, str]] = ..., target: _Optional[str] = ..., actor: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., deadline_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expected_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., expected_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., expected_at_least: bool = ..., message: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[RolloutStep, _Mapping]]] = ...) -> None: ...

class RolloutStep(_message.Message):
    __slots__ = ("jail", "wave", "group", "state", "before", "target", "operation", "begin_time", "move_time", "expected_downtime", "downtime", "downtime_back", "problems", "reason", "message", "hint", "runs")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RolloutStep.State]
        STATE_WAITING: _ClassVar[RolloutStep.State]
        STATE_CHANGING: _ClassVar[RolloutStep.State]
        STATE_SOAKING: _ClassVar[RolloutStep.State]
        STATE_DONE: _ClassVar[RolloutStep.State]
        STATE_FAILED: _ClassVar[RolloutStep.State]
        STATE_UNDOING: _ClassVar[RolloutStep.State]
        STATE_UNDONE: _ClassVar[RolloutStep.State]
        STATE_STUCK: _ClassVar[RolloutStep.State]
        STATE_REFUSED: _ClassVar[RolloutStep.State]
        STATE_SKIPPED: _ClassVar[RolloutStep.State]
    STATE_UNSPECIFIED: RolloutStep.State
    STATE_WAITING: RolloutStep.State
    STATE_CHANGING: RolloutStep.State
    STATE_SOAKING: RolloutStep.State
    STATE_DONE: RolloutStep.State
    STATE_FAILED: RolloutStep.State
    STATE_UNDOING: RolloutStep.State
    STATE_UNDONE: RolloutStep.State
    STATE_STUCK: RolloutStep.State
    STATE_REFUSED: RolloutStep.State
    STATE_SKIPPED: RolloutStep.State
    JAIL_FIELD_NUMBER: _ClassVar[int]
    WAVE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    MOVE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_BACK_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    jail: str
    wave: int
    group: str
    state: RolloutStep.State
    before: str
    target: str
    operation: str
    begin_time: _timestamp_pb2.Timestamp
    move_time: _timestamp_pb2.Timestamp
    expected_downtime: _duration_pb2.Duration
    downtime: _duration_pb2.Duration
    downtime_back: _duration_pb2.Duration
    problems: _containers.RepeatedCompositeFieldContainer[_common_pb2.Problem]
    reason: str
    message: str
    hint: str
    runs: RunsOn
    def __init__(self, jail: _Optional[str] = ..., wave: _Optional[int] = ..., group: _Optional[str] = ..., state: _Optional[_Union[RolloutStep.State, str]] = ..., before: _Optional[str] = ..., target: _Optional[str] = ..., operation: _Optional[str] = ..., begin_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., move_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expected_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., downtime_back: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., problems: _Optional[_Iterable[_Union[_common_pb2.Problem, _Mapping]]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., runs: _Optional[_Union[RunsOn, _Mapping]] = ...) -> None: ...

class RunsOn(_message.Message):
    __slots__ = ("generation", "base", "base_guid", "base_sha256", "release", "release_guid", "release_sha256")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_GUID_FIELD_NUMBER: _ClassVar[int]
    BASE_SHA256_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_GUID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_SHA256_FIELD_NUMBER: _ClassVar[int]
    generation: int
    base: str
    base_guid: int
    base_sha256: str
    release: str
    release_guid: int
    release_sha256: str
    def __init__(self, generation: _Optional[int] = ..., base: _Optional[str] = ..., base_guid: _Optional[int] = ..., base_sha256: _Optional[str] = ..., release: _Optional[str] = ..., release_guid: _Optional[int] = ..., release_sha256: _Optional[str] = ...) -> None: ...

class PlanRolloutRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: RolloutSpec
    def __init__(self, spec: _Optional[_Union[RolloutSpec, _Mapping]] = ...) -> None: ...

class StartRolloutRequest(_message.Message):
    __slots__ = ("spec", "request_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    spec: RolloutSpec
    request_id: str
    def __init__(self, spec: _Optional[_Union[RolloutSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetRolloutRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListRolloutsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRolloutsResponse(_message.Message):
    __slots__ = ("rollouts", "next_page_token")
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rollouts: _containers.RepeatedCompositeFieldContainer[Rollout]
    next_page_token: str
    def __init__(self, rollouts: _Optional[_Iterable[_Union[Rollout, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseRolloutRequest(_message.Message):
    __slots__ = ("name", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class ResumeRolloutRequest(_message.Message):
    __slots__ = ("name", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class CancelRolloutRequest(_message.Message):
    __slots__ = ("name", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class UndoRolloutRequest(_message.Message):
    __slots__ = ("name", "request_id", "accept")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...
