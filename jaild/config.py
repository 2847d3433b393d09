"""The daemon's configuration: one YAML file, strictly read; everything has a default that suits FreeBSD's layout."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from jaild.adapters.files.room import Uploads
from jaild.adapters.peers import PeerAddress
from jaild.adapters.system.keys import KeySource
from jaild.metrics.listener import Listener
from jaild.model import names
from jaild.model.access import Grant
from jaild.model.backups.targets import TargetSettings
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.logparts import Rotation
from jaild.model.layers import registry
from jaild.model.layers.registry import Registry
from jaild.model.policy import on_host
from jaild.model.sinks.settings import SinkSettings
from jaild.ownlog import Log
from jaild.rpc.tls import TlsFiles
from jaild.server import Tcp

TEMPLATES = Path(__file__).with_name("templates")  # those that come with jaild
ZfsChoice = Literal["auto", "cli", "libzfs"]


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this host offers its jails."""

    bridge: str = "jaild0"  # mode vnet; made if it is missing; empty: none
    address: str | None = None  # the host's own on the bridge, with prefix length
    uplink: str | None = None  # interface that is put on the bridge
    shared: str | None = None  # interface of mode shared-ip

    def __post_init__(self) -> None:
        """Refuse what is no address: msgspec tells a ValueError with the field's path."""
        if self.address is not None:
            ipaddress.ip_interface(self.address)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that can be configured."""

    name: str = ""  # of this host, as its peers call it; the host name if not said
    dataset: str = "zroot/jaild"  # root of everything
    zfs: ZfsChoice = "auto"  # py-libzfs where it is installed, the commands, or py-libzfs and nothing else
    state: Path = Path("/var/db/jaild")  # operations, audit, journal
    run: Path = Path("/var/run/jaild")  # jails' trees
    logs: Path = Path("/var/log/jaild")  # what jails write, a file each
    log: Log = Log()  # the daemon's own
    log_rotation: Rotation = Rotation()  # of the jails' own logs
    templates: Path = Path("/usr/local/etc/jaild/templates")  # specs with ${variables}, of your own
    repositories: Path = Path("/usr/local/etc/jaild/repos")  # pkg.conf(5) files: what bases may be installed from
    socket: Path = Path("/var/run/jaild/jaild.sock")  # the API for local root
    listen: Tcp | None = None  # TCP with mutual TLS; not listened on if not said
    metrics: Listener | None = None  # GET /metrics for Prometheus; not listened on if not said
    tracing: dict[Annotated[str, msgspec.Meta(pattern="^OTEL_")], str] = {}  # OpenTelemetry's; none: no traces
    grants: dict[str, Grant] = {}  # what a client certificate's name may do
    peers: dict[str, PeerAddress] = {}  # hosts that jails are moved to and from, by their names
    registries: dict[str, Registry] = {}  # HOST[:PORT][/PATH] that images are pulled from and pushed to
    event_sinks: dict[str, SinkSettings] = {}  # where events are sent to
    backups: dict[str, TargetSettings] = {}  # where backups of jails may be sent to
    keys: dict[str, KeySource] = {}  # where the keys of encrypted jails are
    network: Network = Network()  # what this host offers its jails
    uploads: Uploads = Uploads()  # how much room archives may take that come in
    boot_patience: Annotated[float, msgspec.Meta(gt=0)] = 120.0  # seconds that later boot orders wait for one's jails
    boot_starts: Annotated[int, msgspec.Meta(ge=0)] = 0  # jails at once when the host boots; 0: twice its CPUs
    cgroup: str = "jaild"  # Linux: parent of the jails' control groups
    system_calls: bool = True  # FreeBSD: mounts, jails, sysctls by system calls, not by mount(8), jls(8) ...

    def __post_init__(self) -> None:
        """Refuse what is no name of an event sink, or no registry."""
        for prefix in self.registries:
            try:
                registry.require_prefix(prefix)
            except ValueError as error:
                raise ValueError(f"registries: {error}") from None
        for name in self.event_sinks:
            try:
                names.event_sink(name)
            except InvalidArgumentError as error:
                raise ValueError(f"event_sinks: {error.message}: {error.hint}") from None
        for name in self.backups:
            try:
                names.backup_target(name)
            except InvalidArgumentError as error:
                raise ValueError(f"backups: {error.message}: {error.hint}") from None

    @property
    def host_name(self) -> str:
        """The configured name, or the host's."""
        return self.name or socket.gethostname().partition(".")[0]

    @property
    def grants_here(self) -> dict[str, Grant]:
        """The grants, with policies that know this host's network."""
        return {name: self._here(grant) if grant.policy is not None else grant for name, grant in self.grants.items()}

    def tls_files(self) -> dict[str, TlsFiles]:
        """Return the files of certificates, by the settings that name them."""
        own = {"listen.tls": self.listen, "metrics.tls": self.metrics}
        listening = {name: at.tls for name, at in own.items() if at is not None and at.tls is not None}
        return listening | {f"peers.{name}.tls": peer.tls for name, peer in sorted(self.peers.items())}

    def _here(self, grant: Grant) -> Grant:
        network = self.network
        policy = on_host(grant.policy, address=network.address, bridge=network.bridge, shared=network.shared)
        return msgspec.structs.replace(grant, policy=policy)


def load(path: Path | None, defaults: dict[str, Any]) -> Config:
    """Read a file over `defaults`. `InvalidArgumentError` (INVALID_CONFIG) names the file and the field."""
    told: Any = {}
    if path is not None:
        try:
            told = yaml.safe_load(path.read_text()) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no UTF-8, a date that there is not
            raise _invalid(path, str(error)) from error
        if not isinstance(told, dict):
            raise _invalid(path, "it must be a mapping of settings")
    try:
        return msgspec.convert({**defaults, **_over(defaults, told)}, Config, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _invalid(path or Path("(defaults)"), str(error)) from error


def _over(defaults: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Return what is told, a mapping with the defaults that it does not name."""
    return {
        key: {**defaults[key], **value} if isinstance(value, dict) and isinstance(defaults.get(key), dict) else value
        for key, value in told.items()
    }


def embedded(folder: Path, pool_dataset: str, token: str) -> dict[str, Any]:
    """Return the defaults of `jaild --embedded DIR`: everything in DIR, or with `token` in its name."""
    return {
        "dataset": pool_dataset,
        "state": str(folder / "state"),
        "run": str(folder / "run"),
        "logs": str(folder / "log"),
        "templates": str(folder / "templates"),
        "socket": str(folder / "jaild.sock"),
        "network": {"bridge": f"jaild-{token}"},
        "cgroup": f"jaild-{token}",
    }


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)  # what msgspec asks of a hook for a type that it does not know


def _invalid(path: Path, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_CONFIG",
        f"{path}: {problem}",
        hint="see jaild.yaml.sample for every setting with its meaning",
        resource=str(path),
    )
