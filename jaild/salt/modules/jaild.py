"""Jails of this host, their bases and releases: the whole API of jaild, a function for each of its methods.

Names are written as people write them: ``web`` or ``jails/web``, ``redis/7.0`` or ``apps/redis/releases/7.0``. What
starts an operation waits for its end. ``validate_only=True`` returns the plan, with its problems, and changes nothing.
Values of environments are not told, but where a function has ``secrets=True``: what it returns the master keeps.

Configuration, of the minion or in its pillar, all of it optional:

.. code-block:: yaml

    jaild:
      address: unix:///var/run/jaild/jaild.sock
      contexts:
        beta: {address: "beta:7443", ca: /etc/jaild/ca.pem, cert: /etc/jaild/me.pem, key: /etc/jaild/me.key}
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import yaml
from salt.exceptions import CommandExecutionError, SaltInvocationError

from jaild.client import READ_SECONDS, Api, OperationError
from jaild.restraints import NotHeldBackError
from jaild.salt import daemon, functions, plain, streams
from jaild.salt import summary as in_short
from jaild.v1 import apps_pb2, bases_pb2, builds_pb2, copies_pb2, events_pb2, files_pb2, jails_pb2

__virtualname__ = "jaild"
__opts__: dict[str, Any]
__salt__: dict[str, Any]

_FROM_MASTER = "salt://"


def __virtual__() -> str:
    return __virtualname__


def import_base(
    base_id: str,
    source: str | None = None,
    path: str | None = None,
    peer: str | None = None,
    sha256: str | None = None,
    image: str | None = None,
    manifest: str | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    wait: bool = True,
    context: str | None = None,
) -> dict[str, Any]:
    """Import a base from an archive, check it, complete it with the mount points that jails need, and seal it.

    Or fetch it from a peer, so that it is the same one there and here, and jails on it can move between the two.

    base_id
        The new base's id.

    source
        The archive, which is sent to the daemon: ``salt://...``, or a path on the minion.

    path
        Instead: an archive, a folder with base.txz and MANIFEST, an OCI image layout or an unpacked tree on the
        daemon's host.

    peer
        Instead: a host that has a base of this name, by its name in the daemon's configuration.

    sha256
        Expected digest, in hex; of ``source`` as it is read if absent.

    image
        The image's name or digest in an OCI layout with more than one.

    manifest
        Text of a FreeBSD distribution set's MANIFEST to verify the archive against.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.import_base debian-12 salt://bases/debian-12.tar.zst
        salt 'host' jaild.import_base debian-12 peer=beta
    """
    if sum(given is not None for given in (source, path, peer)) != 1:
        raise SaltInvocationError("give one of source, an archive to be sent, path, on the daemon's host, and peer")
    header: dict[str, Any] = {"base_id": base_id, "sha256": sha256, "path": path, "peer": peer, "image": image}
    header |= {"manifest": manifest, "request_id": request_id, "validate_only": validate_only}
    with _daemon(context) as api:
        message = plain.request(bases_pb2.ImportBaseHeader.DESCRIPTOR, header)
        archive = None if source is None or validate_only else _local(source)
        operation = streams.sent(api.bases.ImportBase, bases_pb2.ImportBaseRequest, message, archive)
        return daemon.result(api, operation, wait=wait)


def push_release(
    name: str,
    source: str,
    manifest: Any,
    previous: str | None = None,
    sha256: str | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    wait: bool = True,
    context: str | None = None,
) -> dict[str, Any]:
    """Make a release of an app of an archive.

    name
        ``redis/7.0``.

    source
        The archive: ``salt://...``, or a path on the minion.

    manifest
        What the release is: a mapping, or a file of YAML (``salt://...`` or a path on the minion).

    previous
        An earlier release of the app to share blocks with: ``redis/6.2``.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.push_release redis/7.0 salt://redis/7.0.tar.zst manifest=salt://redis/release.yaml
    """
    parent, release_id = _release(name)
    header: dict[str, Any] = {"parent": parent, "release_id": release_id, "sha256": sha256, "request_id": request_id}
    header |= {"manifest_yaml": _text(manifest), "validate_only": validate_only}
    header |= {"from": previous and functions.resource("apps", "releases", previous)}
    with _daemon(context) as api:
        message = plain.request(apps_pb2.PushReleaseHeader.DESCRIPTOR, header)
        archive = None if validate_only else _local(source)
        operation = streams.sent(api.apps.PushRelease, apps_pb2.PushReleaseRequest, message, archive)
        return daemon.result(api, operation, wait=wait)


def build_release(
    name: str,
    recipe: Any,
    source: str | None = None,
    base: str | None = None,
    previous: str | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    wait: bool = True,
    context: str | None = None,
) -> dict[str, Any]:
    """Build a release of an app on the host by a recipe.

    name
        ``redis/7.0``.

    recipe
        A mapping, or a file of YAML (``salt://...`` or a path on the minion).

    source
        What it is built of, an archive: ``salt://...``, or a path on the minion.

    base
        The base to build on, instead of the recipe's.

    previous
        The earlier release to begin with, instead of the recipe's.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.build_release redis/7.0 salt://redis/recipe.yaml
    """
    parent, release_id = _release(name)
    header: dict[str, Any] = {"parent": parent, "release_id": release_id, "recipe_yaml": _text(recipe)}
    header |= {"request_id": request_id, "validate_only": validate_only}
    header |= {"base": base and functions.resource("bases", "", base)}
    header |= {"from": previous and functions.resource("apps", "releases", previous)}
    with _daemon(context) as api:
        message = plain.request(builds_pb2.BuildReleaseHeader.DESCRIPTOR, header)
        archive = None if source is None or validate_only else _local(source)
        operation = streams.sent(api.builds.BuildRelease, builds_pb2.BuildReleaseRequest, message, archive)
        return daemon.result(api, operation, wait=wait)


def exec_in_jail(
    name: str,
    command: Any,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    stdin: str = "",
    timeout: float | None = None,
    context: str | None = None,
) -> dict[str, Any]:
    """Run a command in a running jail; return ``stdout``, ``stderr`` and ``retcode``.

    command
        A list, or a text that the jail's /bin/sh gets.

    environment
        Added to the jail's.

    user
        The jail's own if absent.

    timeout
        Seconds that its end is waited for.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.exec_in_jail web 'uptime'
        salt 'host' jaild.exec_in_jail web '[ls, -l, /srv]'
    """
    argv = [str(word) for word in command] if isinstance(command, list | tuple) else ["/bin/sh", "-c", str(command)]
    start = {"name": functions.resource("jails", "", name), "command": argv, "environment": environment, "user": user}
    with _daemon(context) as api:
        message: Any = plain.request(jails_pb2.ExecStart.DESCRIPTOR, start)
        return streams.executed(api, message, stdin.encode(), timeout)


def write_files(
    name: str,
    path: str,
    source: str,
    preserve: bool = False,
    owner: Mapping[str, int] | None = None,
    validate_only: bool = False,
    context: str | None = None,
) -> dict[str, Any]:
    """Write a file, or a folder with all that is below it, into a jail's data or a volume.

    path
        In the jail; into a folder that is there it goes under its own name.

    source
        ``salt://...``, or a path on the minion.

    preserve
        Keep owners and all permissions as they are there.

    owner
        ``uid`` and ``gid`` without it; those of the folder that it goes into if absent.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.write_files web /var/www salt://site/index.html
    """
    local = _local(source)
    start: dict[str, Any] = {"name": functions.resource("jails", "", name), "path": path, "preserve": preserve}
    start |= {"owner": owner, "validate_only": validate_only}
    with _daemon(context) as api:
        message: Any = plain.request(files_pb2.WriteFilesStart.DESCRIPTOR, start)
        message.base_name = os.fsencode(local.name)
        return streams.written(api, message, local)


def tail_logs(name: str, lines: int | None = 100, since: str | None = None, context: str | None = None) -> str:
    """Return what the jail wrote on stdout and stderr: the last lines, all that there are for None.

    since
        A time (RFC 3339) before which nothing counts.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.tail_logs web lines=20
    """
    with _daemon(context) as api:
        asked = {"name": functions.resource("jails", "", name), "lines": lines, "since": since}
        message: Any = plain.request(jails_pb2.TailLogsRequest.DESCRIPTOR, asked)
        return streams.logged(api, message)


def tail_build(name: str, context: str | None = None) -> str:
    """Return what a build wrote so far.

    name
        The build's operation.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.tail_build operations/0d8f...
    """
    with _daemon(context) as api:
        return streams.built(api, builds_pb2.TailBuildRequest(name=functions.resource("operations", "", name)))


def export_jail(
    name: str,
    target: str,
    snapshot: str | None = None,
    portable: bool = False,
    with_layers: bool = False,
    encrypt_to: list[str] | None = None,
    validate_only: bool = False,
    context: str | None = None,
) -> dict[str, Any]:
    """Write a jail to a file that ``import_jail`` makes a jail of; return its ``sha256`` and ``size_bytes``.

    name
        The jail.

    target
        The file on the minion, mode 0600: the jail's secrets are in it. It is there only if all of it was written.

    snapshot
        The name of snapshots of the jail; without it one is taken, and dropped afterwards.

    portable
        Data as tar, for any ZFS.

    with_layers
        Base and release, too.

    encrypt_to
        Public keys for which it is encrypted by age.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.export_jail web /backup/web.jaild with_layers=True
    """
    values: dict[str, Any] = {"name": f"jails/{name.removeprefix('jails/')}", "portable": portable}
    values |= {"with_layers": with_layers, "encrypt_to": encrypt_to, "validate_only": validate_only}
    values |= {"moment": {"snapshot": snapshot}} if snapshot else {}
    with _daemon(context) as api:
        message: Any = plain.request(copies_pb2.ExportJailRequest.DESCRIPTOR, values)
        if validate_only:
            return dict(plain.data(next(iter(api.copies.ExportJail(message, timeout=READ_SECONDS))).plan))
        return streams.saved(api.copies.ExportJail(message), Path(target))


def import_jail(
    jail_id: str,
    source: str | None = None,
    path: str | None = None,
    reach: Any = None,
    keep_identity: bool = False,
    stopped: bool = False,
    request_id: str | None = None,
    validate_only: bool = False,
    wait: bool = True,
    context: str | None = None,
) -> dict[str, Any]:
    """Make a jail of an export. It is another one than the original, with an identity of its own.

    jail_id
        The new jail's id.

    source
        The file, which is sent to the daemon: ``salt://...``, or a path on the minion.

    path
        Instead: a file on the daemon's host.

    reach
        How it is reached: addresses, gateway, without_ports, without_network.

    keep_identity
        It takes the original's place: host name, machine-id and host keys stay.

    stopped
        Make it without starting it.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.import_jail web /backup/web.jaild
    """
    if (source is None) == (path is None):
        raise SaltInvocationError("give either source, an export to be sent, or path, on the daemon's host")
    header: dict[str, Any] = {"jail_id": jail_id, "path": path, "reach": reach, "keep_identity": keep_identity}
    header |= {"stopped": stopped, "request_id": request_id, "validate_only": validate_only}
    with _daemon(context) as api:
        message: Any = plain.request(copies_pb2.ImportJailHeader.DESCRIPTOR, header)
        operation = streams.brought(api, message, None if source is None else _local(source))
        return daemon.result(api, operation, wait=wait)


def list_events(
    after_sequence: int = 0, target: str | None = None, limit: int = 0, context: str | None = None
) -> list[Any]:
    """List events that are kept, oldest first. The engine ``jaild`` brings them onto Salt's bus as they happen.

    after_sequence
        Only those after this one's number.

    target
        Only those about this resource and what is below it: ``jails/web``.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.list_events target=jails/web
    """
    with _daemon(context) as api:
        asked = {"after_sequence": after_sequence, "target": target}
        message: Any = plain.request(events_pb2.WatchEventsRequest.DESCRIPTOR, asked)
        return streams.happened(api, message, limit)


def summary(context: str | None = None) -> dict[str, Any]:
    """Tell the host in short: versions, room, channels, jails. It is for the mine.

    .. code-block:: yaml

        mine_functions:
          jaild.summary: []

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild.summary
    """
    with _daemon(context) as api:
        return in_short.whole(api)


def _call(method: functions.Method, values: dict[str, Any]) -> Any:
    context, limit = values.pop("context", None), values.pop("limit", 0)
    wait, secrets = values.pop("wait", True), values.pop("secrets", False)
    if "spec" in values:
        values["spec"] = _file(values["spec"])
    with _daemon(context) as api:
        response = method.call(api, values, limit=limit)
        if isinstance(response, list):
            return [plain.data(each, secrets=secrets) for each in response]
        if method.starts:
            return daemon.result(api, response, wait=wait)
        return plain.data(response, secrets=secrets)


globals().update(functions.made(_call, __name__))


@contextmanager
def _daemon(context: str | None) -> Iterator[Api]:
    """Yield the API; what it refuses is raised as Salt shows it, with `info` for the modules that call this one."""
    try:
        with daemon.connect(daemon.settings(__opts__), context or "") as api:
            yield api
    except (grpc.RpcError, OperationError) as error:
        text, info = daemon.explained(error)
        raised = CommandExecutionError(text)
        raised.info = info
        raise raised from error
    except NotHeldBackError as error:
        raise CommandExecutionError(f"{error}: nothing was sent; update the daemon") from error
    except (daemon.UnknownContextError, ValueError) as error:
        raise SaltInvocationError(str(error)) from error
    except OSError as error:
        raise CommandExecutionError(f"cannot read {error.filename}: {error.strerror}") from error


def _local(source: str) -> Path:
    if not source.startswith(_FROM_MASTER):
        return Path(source)
    cached = __salt__["cp.cache_file"](source)
    if not cached:
        raise CommandExecutionError(f"the master has no {source} for this minion")
    return Path(cached)


def _file(given: Any) -> Any:
    """Return the text of the file that is named; what is no name as it is."""
    if isinstance(given, str) and given.startswith((_FROM_MASTER, "/")):
        try:
            return _local(given).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandExecutionError(f"cannot read {given}: {error}") from error
    return given


def _text(given: Any) -> str:
    found = _file(given)
    return found if isinstance(found, str) else yaml.safe_dump(found)


def _release(name: str) -> tuple[str, str]:
    parent, _, release = functions.resource("apps", "releases", name).partition("/releases/")
    if not release:
        raise SaltInvocationError(f"{name!r} is not a release: write app/version, as in redis/7.0")
    return parent, release
