"""``state`` in a jail: rendered by the minion, applied by Salt itself in the jail, as salt-ssh does it.

The jail needs Python 3, and no minion. ``/usr`` and what else is the base's or the release's is read-only there; what a
state writes below ``/etc`` is the generation's.

A jail gets no pillar of its host: what the host's pillar has at ``jaild:jails:NAME`` is the jail's, and what the call
gives by ``pillar=``.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import salt.client.ssh.state as ssh
import salt.fileclient
import salt.loader
import salt.state
import salt.utils.data
import salt.utils.dictupdate
import salt.utils.state
import salt.utils.thin
from salt.exceptions import CommandExecutionError

from jaild.model.errors import JaildError
from jaild.salt import thin

__context__: dict[str, Any]
__opts__: dict[str, Any]
__resource__: dict[str, Any]
__resource_funcs__: dict[str, Any]
__salt__: dict[str, Any]

__func_alias__ = {"apply_": "apply"}


def apply_(mods: Any = None, **options: Any) -> Any:
    """Apply states to the jail: those of ``mods``, or what the top file has for the jail. Options as of ``sls``.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' state.apply motd
        salt -C 'T@jail:web' state.apply motd test=True pillar='{text: hello}'
    """
    own = {name: value for name, value in options.items() if not name.startswith("__pub_")}
    return sls(mods, **own) if mods else highstate(**own)


def highstate(
    test: bool | None = None,
    saltenv: str | None = None,
    pillar: dict[str, Any] | None = None,
    queue: bool | None = None,
    concurrent: bool = False,
) -> Any:
    """Apply to the jail what the top file has for its name and grains. Options as of ``sls``.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' state.highstate
    """
    return _applied([], _options(pillar, saltenv), test, _turn(queue, concurrent))


def sls(
    mods: Any,
    test: bool | None = None,
    saltenv: str | None = None,
    pillar: dict[str, Any] | None = None,
    queue: bool | None = None,
    concurrent: bool = False,
) -> Any:
    """Apply files of states to the jail.

    mods
        Their names, a list or with commas between.

    test
        Change nothing, and say what would be changed.

    pillar
        The jail's pillar, over what the host's has for it.

    queue
        Wait for another run in the jail; without, it is an error.

    concurrent
        Take no notice of another run.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' state.sls motd,users
    """
    named = mods if isinstance(mods, list) else [word.strip() for word in str(mods).split(",")]
    return _applied([str(name) for name in named if name], _options(pillar, saltenv), test, _turn(queue, concurrent))


class _HighState(ssh.SSHHighState):  # type: ignore[misc]
    """What is rendered for a jail: the files that are named, else those of the top file.

    The options keep the minion's id: by it templates and files come from the master, which knows no jail's key.
    """

    def __init__(self, named: list[str], options: dict[str, Any], client: Any) -> None:
        own = {"pillar.get": _getter(options["pillar"]), "config.option": _getter(options)}  # Salt asks for the latter
        functions = collections.ChainMap(own, __salt__)
        super().__init__(options, None, functions, client, initial_pillar=options["pillar"])
        self.matchers = salt.loader.matchers({**options, "id": __resource__["id"]})
        self._named = named

    def get_top(self, context: Any = None) -> Any:
        return {} if self._named else super().get_top(context=context)

    def top_matches(self, top: Any) -> Any:
        return {self.opts["saltenv"] or "base": self._named} if self._named else super().top_matches(top)


def _applied(named: list[str], options: dict[str, Any], test: bool | None, turn: thin.Turn) -> Any:
    try:
        inside, grains = thin.Inside(__resource__["id"], _run), __resource_funcs__["jail.grains"]()
        inside.deliver(Path(salt.utils.thin.gen_thin(options["cachedir"], exclude_saltexts=True)))
        options["grains"], _ = inside.call("grains.items", grains=grains)
        chunks, package = _rendered(named, options)
        if package is None:
            __context__["retcode"] = 1
            return chunks or [f"the top file has nothing for jail {__resource__['id']}"]
        words = (f"test={options['test'] if test is None else bool(test)}", "hash_type=sha256")
        digest = f"pkg_sum={hashlib.sha256(package).hexdigest()}"
        call = ("state.pkg", thin.PACKAGE, digest, *words)
        told, __context__["retcode"] = inside.call(*call, grains=grains, package=package, turn=turn)
    except JaildError as error:
        raise CommandExecutionError(f"{error.message} ({error.reason})\n  hint: {error.hint}") from error
    else:
        return told


def _rendered(named: list[str], options: dict[str, Any]) -> tuple[list[Any], bytes | None]:
    """Return what the states are in order, and the package for the jail; no package, and errors, if they are none."""
    with _compiled(named, options) as (chunks, client):
        wrong = [chunk for chunk in chunks if not isinstance(chunk, dict)]
        if wrong or not chunks:
            return wrong, None
        told = [{**chunk, "slsmod": None} if "slsmod" in chunk else chunk for chunk in chunks]  # a module, of `#!py`
        refs = ssh.lowstate_file_refs(told)
        packed = Path(ssh.prep_trans_tar(client, told, refs, options["pillar"], __resource__["id"]))
    try:
        return told, packed.read_bytes()
    finally:
        packed.unlink()


@contextlib.contextmanager
def _compiled(named: list[str], options: dict[str, Any]) -> Iterator[tuple[list[Any], Any]]:
    client = salt.fileclient.get_file_client(options)
    with _HighState(named, options, client) as made:
        made.push_active()
        try:
            yield made.compile_low_chunks(), client
        finally:
            salt.state.HighState.pop_active()


def _options(pillar: dict[str, Any] | None, saltenv: str | None) -> dict[str, Any]:
    """Return the minion's options as those of the jail, with its pillar; the grains are still the host's."""
    name = __resource__["id"]
    own = salt.utils.data.traverse_dict_and_list(__opts__.get("pillar") or {}, f"jaild:jails:{name}", {})
    # With an empty one Salt would compile a pillar for the jail as for a minion.
    merged = {"jail": name, **salt.utils.dictupdate.merge(copy.deepcopy(own), pillar or {})}
    options = {**__opts__, "pillar": merged, "test": bool(__opts__.get("test"))}
    options.pop("resource_type", None)
    found: dict[str, Any] = salt.utils.state.get_sls_opts(options, saltenv=saltenv)
    return found


def _getter(values: Mapping[str, Any]) -> Any:
    def get(key: str, default: Any = "", delimiter: str = ":") -> Any:
        return salt.utils.data.traverse_dict_and_list(values, key, default, delimiter)

    return get


def _turn(queue: bool | None, concurrent: bool) -> thin.Turn:
    return thin.Turn.NONE if concurrent else thin.Turn.WAIT if queue else thin.Turn.REFUSE


def _run(argv: Any, stdin: bytes) -> Mapping[str, Any]:
    done: dict[str, Any] = __resource_funcs__["jail.execute"](list(argv), thin.ENVIRONMENT, "root", stdin, None)
    return done
