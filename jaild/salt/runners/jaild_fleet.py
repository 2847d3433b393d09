"""Questions to the fleet: where a jail is, what holds a library, where there is room, what is behind.

.. code-block:: bash

    salt-run jaild_fleet.find web
    salt-run jaild_fleet.contains package='openssl<3.0.15'
    salt-run jaild_fleet.room limit=5
    salt-run jaild_fleet.behind stable

Answered from the mine, without a message to any host, but for ``contains``, which asks them all. The hosts need the
summary (jaild.summary) among their ``mine_functions``. Each row has the ``age`` of what it was made of, in seconds;
``hosts`` is how many were heard, ``oldest`` the age of the oldest word, ``unheard`` who was not heard, and why: what is
not found may be there.

Which minions are hosts, in the master's configuration (all of them, if it does not say):

.. code-block:: yaml

    jaild:
      hosts: 'edge-* and not edge-lab-*'   # a compound target
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import salt.cache
import salt.client
from salt.exceptions import SaltClientError, SaltInvocationError
from salt.utils.mine import MINE_ITEM_ACL_DATA, MINE_ITEM_ACL_ID
from salt.utils.minions import CkMinions

from jaild.salt import fleet
from jaild.salt.fleet import Fleet

__opts__: dict[str, Any]

_SUMMARY = "jaild.summary"
_LATE = 7200.0  # seconds: two of the mine's intervals, as Salt has them


def find(jail: str, live: bool = False, max_age: float = _LATE, tgt: str | None = None) -> dict[str, Any]:
    """Tell which hosts have a jail, and what it is there; the one whose it is comes first.

    live
        Ask those hosts now, and those that were not heard.

    max_age
        Seconds after which a host counts as not heard.

    tgt
        Of these hosts only, a compound target.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_fleet.find web live=True
    """
    known = _heard(tgt, max_age)
    if live:
        there = [row["host"] for row in fleet.whereabouts(known, jail)]
        asked = sorted({*there, *known.unheard})
        answers = _asked(asked, _SUMMARY)
        known = known.asked(answers, asked, fleet.is_summary).newly(answers)
    return known.answer(found=fleet.whereabouts(known, jail))


def room(limit: int = 20, least: bool = False, max_age: float = _LATE, tgt: str | None = None) -> dict[str, Any]:
    """List hosts by the space that is left for jails, most first.

    limit
        At most so many; 0 for all.

    least
        Those with the least first.

    max_age, tgt
        As for ``find``.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_fleet.room least=True
    """
    known = _heard(tgt, max_age)
    return known.answer(found=fleet.by_room(known, least=least)[: limit or None])


def behind(channel: str = "", max_age: float = _LATE, tgt: str | None = None) -> dict[str, Any]:
    """List the jails that follow a channel and are not on its base; ``channels`` says on how many hosts it names which.

    channel
        All channels if empty.

    max_age, tgt
        As for ``find``.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_fleet.behind stable
    """
    known = _heard(tgt, max_age)
    return known.answer(found=fleet.behind(known, channel), channels=fleet.bases_of_channels(known, channel))


def contains(
    library: str | None = None,
    package: str | None = None,
    file: str | None = None,
    base: str | None = None,
    release: str | None = None,
    batch: int = 200,
    timeout: float | None = None,
    tgt: str | None = None,
) -> dict[str, Any]:
    """Ask all hosts which jails hold something: active generations, and those that are kept.

    One question, as for ``jailctl find``. ``dark`` are layers that no host could look into.

    library
        A soname, with versions of its makers: ``libssl.so.3<3.0.15``.

    package
        A package or its source, with the package's versions: ``openssl<3.0.15``.

    file
        A path in the jail, or ``sha256:HEX``.

    base, release
        A layer: ``debian-12*``, ``redis/7.*``.

    batch
        How many hosts are asked at a time.

    timeout
        Seconds that a host may take; the master's ``timeout`` if absent.

    tgt
        Of these hosts only, a compound target.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_fleet.contains library='libssl.so.3<3.0.15'
    """
    given = {"library": library, "package": package, "file": file, "base": base, "release": release}
    question = {kind: what for kind, what in given.items() if what}
    if len(question) != 1:
        raise SaltInvocationError("ask for one thing: library, package, file, base or release")
    minions = _minions(tgt)
    answers = _asked(minions, "jaild.find_contents", question, batch=batch, timeout=timeout)
    lists = {host: answer for host, answer in answers.items() if isinstance(answer, list)}
    found, dark = fleet.holders(lists)
    unheard = {host: fleet.silence(answers.get(host)) for host in sorted(minions) if host not in lists}
    return {"found": found, "dark": dark, "hosts": len(lists), "unheard": unheard}


def _heard(tgt: str | None, max_age: float) -> Fleet:
    """Return the fleet as the mine has it."""
    minions = _minions(tgt)
    cache = salt.cache.factory(__opts__)
    summaries = {minion: _mined(cache.fetch("mine", minion)) for minion in minions}
    return fleet.gathered(minions, summaries, time.time(), max_age)


def _minions(tgt: str | None) -> list[str]:
    """Return the minions that are hosts."""
    hosts = tgt or __opts__.get("jaild", {}).get("hosts", "*")
    # Compound, also where it is a glob: a wildcard of the other kind stands for the jails of the hosts, too.
    return list(CkMinions(__opts__).check_minions(hosts, "compound")["minions"])


def _mined(mine: Any) -> Any:
    """Return the summary that a minion's mine has; a mine with an access list wraps it."""
    found = mine.get(_SUMMARY) if isinstance(mine, Mapping) else None
    if isinstance(found, Mapping) and MINE_ITEM_ACL_ID in found:
        return found[MINE_ITEM_ACL_DATA]
    return found


def _asked(
    hosts: Iterable[str],
    function: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    batch: int = 200,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Ask hosts, `batch` at a time; return what each that answers gave."""
    named = list(hosts)
    if not named:
        return {}
    options = {"kwarg": dict(arguments or {}), "batch": str(batch), "timeout": timeout or __opts__["timeout"]}
    found: dict[str, Any] = {}
    try:
        with salt.client.get_local_client(__opts__["conf_file"]) as client:
            for answer in client.cmd_batch(named, function, tgt_type="list", **options):
                found.update(answer)
    except SaltClientError as error:  # the master itself: nobody was asked
        raise SaltInvocationError(f"the hosts cannot be asked: {error}") from error
    return found
