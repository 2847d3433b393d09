"""What a product team asks of a host itself: by its own certificate, so that the host's grants say how far it reaches.

``team`` is the name of a context (``jaild:contexts`` of the minion) with that certificate.

Arguments are given by place, never by name. Salt's lists of who may call what (``external_auth``, ``publisher_acl``,
``peer``) check the arguments that they name and let all others pass: of a function that also takes ``context=``, who
may say ``team`` only could say ``context=`` besides, and be an operator. Here there are no others.
"""

from __future__ import annotations

from typing import Any

from salt.exceptions import SaltInvocationError

__virtualname__ = "jaild_team"
__salt__: dict[str, Any]

_FROM_MASTER = "salt://"


def __virtual__() -> str:
    return __virtualname__


def push(team: str, release: str, source: str, manifest: str, /) -> Any:
    """Push a release of an archive.

    release
        ``redis/7.2``.

    source, manifest
        Archive and manifest, both of the master's files: ``salt://...``.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_team.push redis-team redis/7.2 salt://redis/7.2.tar.zst salt://redis/release.yaml
    """
    for file in (source, manifest):
        _require_plain(file)
    return _ask(team, "push_release", release, source, manifest)


def deploy(team: str, jail: str, release: str, /) -> Any:
    """Have a jail run another release of its app.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_team.deploy redis-team cache redis/7.2
    """
    return _ask(team, "deploy_release", jail, release)


def plan(team: str, jail: str, release: str, /) -> Any:
    """Return what a deploy would do, with its problems; nothing is changed.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_team.plan redis-team cache redis/7.2
    """
    return _ask(team, "deploy_release", jail, release, validate_only=True)


def jails(team: str, /) -> dict[str, str]:
    """Return the jails that the team is shown, each with its state.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_team.jails redis-team
    """
    return {str(jail["name"]).partition("/")[2]: jail.get("state", "") for jail in _ask(team, "list_jails")}


def _require_plain(file: str) -> None:
    """Raise unless a file is where it says that it is: who may call what looks at how it begins."""
    if not file.startswith(_FROM_MASTER):  # a path would be one of the host's own, which its minion may read
        raise SaltInvocationError(f"{file} is no file of the master's: write salt://...")
    steps = file.removeprefix(_FROM_MASTER).split("/")
    if "?" in file or not {"", ".", ".."}.isdisjoint(steps):  # of another environment, or another team's
        raise SaltInvocationError(f"{file} is no plain path: write it without `..`, `//` and `?`")


def _ask(team: str, function: str, *arguments: str, **more: Any) -> Any:
    if not team:  # no context is the host's own socket, where everybody is an operator
        raise SaltInvocationError("say which team asks")
    return __salt__[f"jaild.{function}"](*arguments, context=team, **more)
