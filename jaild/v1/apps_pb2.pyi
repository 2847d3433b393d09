from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class App(_message.Message):
    __slots__ = ("name", "release_count", "latest_release")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LATEST_RELEASE_FIELD_NUMBER: _ClassVar[int]
    name: str
    release_count: int
    latest_release: str
    def __init__(self, name: _Optional[str] = ..., release_count: _Optional[int] = ..., latest_release: _Optional[str] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("name", "uid", "gid", "home", "shell", "comment")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: int
    gid: int
    home: str
    shell: str
    comment: str
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ..., home: _Optional[str] = ..., shell: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "gid", "members")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    gid: int
    members: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., gid: _Optional[int] = ..., members: _Optional[_Iterable[str]] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("mount_point", "command", "abi", "environment", "user", "users", "groups", "directories")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MOUNT_POINT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ABI_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    DIRECTORIES_FIELD_NUMBER: _ClassVar[int]
    mount_point: str
    command: _containers.RepeatedScalarFieldContainer[str]
    abi: str
    environment: _containers.ScalarMap[str, str]
    user: str
    users: _containers.RepeatedCompositeFieldContainer[User]
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    directories: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mount_point: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., abi: _Optional[str] = ..., environment: _Optional[_Mapping[str, str]] = ..., user: _Optional[str] = ..., users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., directories: _Optional[_Iterable[str]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("name", "manifest", "sha256", "push_time", "files", "size_bytes", "added_bytes", "used_bytes", "used_by", "guid", "built", "image")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    PUSH_TIME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ADDED_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BY_FIELD_NUMBER: _ClassVar[int]
    GUID_FIELD_NUMBER: _ClassVar[int]
    BUILT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    manifest: Manifest
    sha256: str
    push_time: _timestamp_pb2.Timestamp
    files: int
    size_bytes: int
    added_bytes: int
    used_bytes: int
    used_by: _containers.RepeatedScalarFieldContainer[str]
    guid: int
    built: Built
    image: str
    def __init__(self, name: _Optional[str] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ..., sha256: _Optional[str] = ..., push_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., files: _Optional[int] = ..., size_bytes: _Optional[int] = ..., added_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., used_by: _Optional[_Iterable[str]] = ..., guid: _Optional[int] = ..., built: _Optional[_Union[Built, _Mapping]] = ..., image: _Optional[str] = ..., **kwargs) -> None: ...

class Built(_message.Message):
    __slots__ = ("base", "abi", "osversion", "recipe", "packages")
    BASE_FIELD_NUMBER: _ClassVar[int]
    ABI_FIELD_NUMBER: _ClassVar[int]
    OSVERSION_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    base: str
    abi: str
    osversion: int
    recipe: str
    packages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, base: _Optional[str] = ..., abi: _Optional[str] = ..., osversion: _Optional[int] = ..., recipe: _Optional[str] = ..., packages: _Optional[_Iterable[str]] = ...) -> None: ...

class PushReleaseRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: PushReleaseHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[PushReleaseHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class PushReleaseHeader(_message.Message):
    __slots__ = ("parent", "release_id", "sha256", "size_bytes", "manifest", "manifest_yaml", "request_id", "validate_only", "registry_image")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_YAML_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_IMAGE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    release_id: str
    sha256: str
    size_bytes: int
    manifest: Manifest
    manifest_yaml: str
    request_id: str
    validate_only: bool
    registry_image: str
    def __init__(self, parent: _Optional[str] = ..., release_id: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ..., manifest_yaml: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., registry_image: _Optional[str] = ..., **kwargs) -> None: ...

class GetReleaseRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases", "next_page_token")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    next_page_token: str
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListAppsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAppsResponse(_message.Message):
    __slots__ = ("apps", "next_page_token")
    APPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    apps: _containers.RepeatedCompositeFieldContainer[App]
    next_page_token: str
    def __init__(self, apps: _Optional[_Iterable[_Union[App, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteReleaseRequest(_message.Message):
    __slots__ = ("name", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class PruneReleasesRequest(_message.Message):
    __slots__ = ("parent", "min_age", "request_id", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    MIN_AGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    min_age: _duration_pb2.Duration
    request_id: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., min_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class PublishReleaseRequest(_message.Message):
    __slots__ = ("name", "image", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    image: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., image: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...
