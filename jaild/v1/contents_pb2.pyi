from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompareGenerationsRequest(_message.Message):
    __slots__ = ("name", "to")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    name: str
    to: int
    def __init__(self, name: _Optional[str] = ..., to: _Optional[int] = ..., **kwargs) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("to", "from_base", "to_base", "from_release", "to_release", "spec", "packages", "libraries", "release_files", "release_file_counts", "base_file_counts", "configuration", "notes")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    FROM_BASE_FIELD_NUMBER: _ClassVar[int]
    TO_BASE_FIELD_NUMBER: _ClassVar[int]
    FROM_RELEASE_FIELD_NUMBER: _ClassVar[int]
    TO_RELEASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    LIBRARIES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FILES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FILE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    BASE_FILE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    to: int
    from_base: str
    to_base: str
    from_release: str
    to_release: str
    spec: _containers.RepeatedCompositeFieldContainer[ContentChange]
    packages: _containers.RepeatedCompositeFieldContainer[ContentChange]
    libraries: _containers.RepeatedCompositeFieldContainer[ContentChange]
    release_files: _containers.RepeatedCompositeFieldContainer[FileChange]
    release_file_counts: FileCounts
    base_file_counts: FileCounts
    configuration: _containers.RepeatedCompositeFieldContainer[FileChange]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, to: _Optional[int] = ..., from_base: _Optional[str] = ..., to_base: _Optional[str] = ..., from_release: _Optional[str] = ..., to_release: _Optional[str] = ..., spec: _Optional[_Iterable[_Union[ContentChange, _Mapping]]] = ..., packages: _Optional[_Iterable[_Union[ContentChange, _Mapping]]] = ..., libraries: _Optional[_Iterable[_Union[ContentChange, _Mapping]]] = ..., release_files: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., release_file_counts: _Optional[_Union[FileCounts, _Mapping]] = ..., base_file_counts: _Optional[_Union[FileCounts, _Mapping]] = ..., configuration: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., **kwargs) -> None: ...

class ContentChange(_message.Message):
    __slots__ = ("name", "before", "after", "ecosystem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ECOSYSTEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    before: str
    after: str
    ecosystem: str
    def __init__(self, name: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., ecosystem: _Optional[str] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("path", "change", "diff", "reason")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHANGE_UNSPECIFIED: _ClassVar[FileChange.Change]
        CHANGE_ADDED: _ClassVar[FileChange.Change]
        CHANGE_REMOVED: _ClassVar[FileChange.Change]
        CHANGE_CHANGED: _ClassVar[FileChange.Change]
    CHANGE_UNSPECIFIED: FileChange.Change
    CHANGE_ADDED: FileChange.Change
    CHANGE_REMOVED: FileChange.Change
    CHANGE_CHANGED: FileChange.Change
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    change: FileChange.Change
    diff: str
    reason: str
    def __init__(self, path: _Optional[str] = ..., change: _Optional[_Union[FileChange.Change, str]] = ..., diff: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class FileCounts(_message.Message):
    __slots__ = ("added", "removed", "changed")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    added: int
    removed: int
    changed: int
    def __init__(self, added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class FindContentsRequest(_message.Message):
    __slots__ = ("library", "package", "file", "base", "release")
    LIBRARY_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    library: str
    package: str
    file: str
    base: str
    release: str
    def __init__(self, library: _Optional[str] = ..., package: _Optional[str] = ..., file: _Optional[str] = ..., base: _Optional[str] = ..., release: _Optional[str] = ...) -> None: ...

class FindContentsResponse(_message.Message):
    __slots__ = ("layer", "matches", "uses", "not_indexed", "problems")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    NOT_INDEXED_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    layer: str
    matches: _containers.RepeatedCompositeFieldContainer[ContentMatch]
    uses: _containers.RepeatedCompositeFieldContainer[LayerUse]
    not_indexed: str
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layer: _Optional[str] = ..., matches: _Optional[_Iterable[_Union[ContentMatch, _Mapping]]] = ..., uses: _Optional[_Iterable[_Union[LayerUse, _Mapping]]] = ..., not_indexed: _Optional[str] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class ContentMatch(_message.Message):
    __slots__ = ("name", "version", "path", "package", "ecosystem", "unsure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    ECOSYSTEM_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    path: str
    package: str
    ecosystem: str
    unsure: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., path: _Optional[str] = ..., package: _Optional[str] = ..., ecosystem: _Optional[str] = ..., unsure: bool = ...) -> None: ...

class LayerUse(_message.Message):
    __slots__ = ("jail", "generation", "active", "state")
    JAIL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    jail: str
    generation: int
    active: bool
    state: str
    def __init__(self, jail: _Optional[str] = ..., generation: _Optional[int] = ..., active: bool = ..., state: _Optional[str] = ...) -> None: ...

class GetSbomRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Sbom(_message.Message):
    __slots__ = ("media_type", "document")
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    media_type: str
    document: str
    def __init__(self, media_type: _Optional[str] = ..., document: _Optional[str] = ...) -> None: ...
