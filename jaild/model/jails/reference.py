"""What may stand in a spec and in a manifest, field by field.

The words are those of the proto (`reference.json`, which `make proto` writes), the forms those of the types that read
the YAML, and the examples are cut out of one document of each kind, which has every field.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from msgspec import inspect

from jaild.model.jails.forms import alternatives, default, flow, form
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Manifest

# No document that anybody would use: it has everything.
EXAMPLES = {
    "spec": """
base: debian-12
channel: stable
app: redis/7.2
command: [/usr/local/bin/redis-server, --port, "6379"]
environment: {REDIS_SAVE: "900 1", TZ: Europe/Berlin}
hostname: cache.example.org
user: redis
network:
  mode: vnet
  addresses: [10.0.0.5/24, "2001:db8::5/64"]
  gateway: 10.0.0.1
  bridge: bridge0
  interface: em0
  ports: [{host: 8080, jail: 80, protocol: tcp, address: 192.0.2.10}]
quota: 10G
volumes: {db: {path: /var/db/redis, quota: 20G, recordsize: 16K}}
limits: {memory: 512M, cpus: 1.5, processes: 200, open_files: 4096, cpuset: 0-3}
allow: [raw_sockets]
devfs_ruleset: devfsrules_jail
health:
- {kind: http, port: 8080, path: /healthy, address: 10.0.0.5, timeout: 2}
- {kind: tcp, port: 6379, timeout: 1}
- {kind: exec, command: [/usr/local/bin/redis-cli, ping], timeout: 5}
- {kind: process}
readiness: {successes: 2, interval: 0.2, deadline: 30, failures: 10}
encryption: {key: customers, keyformat: passphrase}
boot: {autostart: true, order: 100, after: [db]}
stop: {signal: TERM, timeout: 10}
hooks:
  before_stop:
  - {kind: http, url: "http://10.0.0.2:9000/drain", method: POST, status: 200, timeout: 30, on_error: continue}
  - {kind: exec, command: [/usr/local/bin/announce], timeout: 10, on_error: abort}
  after_start:
  - {kind: http, url: "http://10.0.0.2:9000/serves", method: POST, status: 200, timeout: 30, on_error: continue}
  - {kind: exec, command: [/usr/local/bin/announce], timeout: 10, on_error: abort}
labels: {team: cdn}
placement: {priority: 100, apart: team}
standby: {peers: [beta], interval: 60}
liveness:
  checks:
  - {kind: http, port: 8080, path: /healthy, address: 10.0.0.5, timeout: 2}
  - {kind: exec, command: [/usr/local/bin/redis-cli, ping], timeout: 5}
  interval: 10
  failures: 3
  restart: true
restart: {policy: on-failure, max: 5, within: 600, backoff: {first: 1, longest: 60}}
maintenance: ["Mon..Fri 02:00-05:00 Europe/Berlin"]
logs: {syslog: {address: "tcp://192.0.2.5:601", facility: local3, severity: info, tag: cache}}
snapshots: {every: 15m, keep: {last: 4, hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 3}}
backups: {vault: {every: 1d, keep: {last: 0, hourly: 0, daily: 14, weekly: 0, monthly: 6, yearly: 0}}}
""",
    "manifest": """
mount_point: /usr/local
command: [/usr/local/bin/redis-server]
abi: debian:12:amd64
environment: {LANG: C.UTF-8}
user: redis
users: [{name: redis, uid: 999, gid: 999, home: /var/lib/redis, shell: /usr/sbin/nologin, comment: Redis}]
groups: [{name: redis, gid: 999, members: [web]}]
directories: [/var/lib/redis]
""",
}
_ROOTS: Mapping[str, tuple[type, str]] = {"spec": (JailSpec, "JailSpec"), "manifest": (Manifest, "Manifest")}


@dataclass(frozen=True)
class Field:
    """What is known of one field, or of a whole document."""

    path: str  # spec.network.ports
    form: str  # what it has to be
    words: str
    is_required: bool = False
    default: str = ""  # as YAML; '' for none
    example: str = ""  # as YAML, on one line: `ports: [{host: 8080}]`
    fields: tuple[Field, ...] = ()  # what stands in it, without theirs

    def as_hint(self) -> str:
        """Return what helps whoever wrote something else."""
        shown = f", as in {self.example}" if self.example else ""
        return f"it is {self.form}{shown}; all that can be said: jailctl explain {self.path}"


@dataclass(frozen=True)
class _Place:
    """A place in a document: what stands there by the types, by the proto and in the example."""

    path: str
    kind: inspect.Type
    message: str  # of the proto; '' for what is no message
    words: str
    example: Any
    field: inspect.Field | None = None

    @property
    def structs(self) -> list[inspect.StructType]:
        """The objects that may stand there, by themselves, in a list or in a mapping."""
        kind = self.kind
        while isinstance(kind, inspect.VarTupleType | inspect.DictType):
            kind = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind.value_type
        return [each for each in alternatives(kind) if isinstance(each, inspect.StructType)]

    def below(self) -> Iterator[_Place]:
        """Yield the places of the fields that may stand in it."""
        if tag := next((each.tag_field for each in self.structs if each.tag_field), None):
            tags = inspect.LiteralType(tuple(each.tag for each in self.structs))
            yield self._of(tag, tags, inspect.Field(tag, tag, tags, required=True))
        found: dict[str, list[inspect.Field]] = defaultdict(list)
        for field in (field for struct in self.structs for field in struct.fields):
            found[field.encode_name].append(field)
        for name, fields in found.items():
            field = fields[0]
            if len({(each.required, str(each.default)) for each in fields}) > 1 or len(fields) < len(self.structs):
                field = inspect.Field(name, name, field.type, required=False)  # it depends: the words say on what
            yield self._of(name, field.type, field)

    def _of(self, name: str, kind: inspect.Type, field: inspect.Field) -> _Place:
        told = _words()[self.message]["fields"][name]
        kinds = alternatives(kind)
        kind = kinds[0] if len(kinds) == 1 else kind
        return _Place(f"{self.path}.{name}", kind, told["of"], told["words"], _in(self.example, name), field)


def explain(path: str) -> Field | None:
    """Return what is known of a field, as `spec.network.ports` names it; None if there is no such one.

    Neither places in a list nor names in a mapping are part of that: spec.volumes.quota.
    """
    name, *steps = path.split(".")
    if name not in _ROOTS:
        return None
    place: _Place | None = _root(name)
    for step in steps:
        place = next((each for each in place.below() if each.path.endswith(f".{step}")), None) if place else None
    return _told(place) if place is not None else None


def at(wanted: type, steps: Sequence[str | int]) -> Field | None:
    """Return what is known of where the keys and numbers `steps` lead in a document that is read as `wanted`."""
    name = next((name for name, (kind, _) in _ROOTS.items() if kind is wanted), None)
    if name is None:
        return None
    place = _root(name)
    kind = place.kind
    for step in steps:
        if isinstance(kind, inspect.VarTupleType | inspect.DictType):
            kind = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind.value_type
            continue
        found = next((each for each in place.below() if each.path.endswith(f".{step}")), None)
        if found is None:
            break
        place, kind = found, found.kind
    return _told(place)


def _root(name: str) -> _Place:
    kind, message = _ROOTS[name]
    document = yaml.safe_load(EXAMPLES[name])
    return _Place(name, inspect.type_info(kind), message, _words()[message]["words"], document)


def _told(place: _Place) -> Field:
    below = tuple(_one(each) for each in place.below())
    words = "\n".join(filter(None, (place.words, _words()[place.message]["words"] if place.message else "")))
    found = _one(place)
    return Field(
        path=found.path,
        form=found.form,
        words=words if place.field is not None else place.words,
        is_required=found.is_required,
        default=found.default,
        example=found.example or below[0].example,
        fields=below,
    )


def _one(place: _Place) -> Field:
    name = place.path.rpartition(".")[2]
    return Field(
        path=place.path,
        form=form(place.kind),
        words=place.words,
        is_required=place.field is not None and place.field.required,
        default=default(place.field),
        example=f"{name}: {flow(place.example)}" if place.field is not None else "",
    )


def _in(value: Any, name: str) -> Any:
    """Return what a document has under a name: in an object, or in the first of several that has it."""
    if isinstance(value, dict) and name not in value:
        value = list(value.values())
    if isinstance(value, list):
        return next((each[name] for each in value if name in each), None)
    return value[name] if isinstance(value, dict) else None


@cache
def _words() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(resources.files(__package__).joinpath("reference.json").read_text("utf-8"))
    return told
