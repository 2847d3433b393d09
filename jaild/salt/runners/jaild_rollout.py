"""Rollouts over hosts: a base, or an app's release, moved over the jails of many hosts in waves.

Canary hosts go first, then site after site in waves; one host of a rack at a time. Each host moves its own jails by a
rollout of its own, and is watched afterwards. What fails, and who does not answer, counts
against budgets.

A rollout is on the master's disk (``<cachedir>/jaild``), and carried out by the runner that began it. If that ends,
however it does, the next goes on: ``salt-run jaild_rollout.go_on``, best by the master's schedule:

.. code-block:: yaml

    schedule:
      jaild-rollouts: {function: jaild_rollout.go_on, minutes: 1, maxrunning: 10}

How often hosts are asked, in seconds, is the master's configuration; these are the defaults:

.. code-block:: yaml

    jaild:
      rollouts: {look: 10, silent: 60, patience: 30}
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import salt.utils.event
import salt.utils.minions
import salt.utils.user

from jaild.model.errors import JaildError
from jaild.model.rollouts import fleet
from jaild.model.rollouts.decision import Decision, RolloutState
from jaild.model.rollouts.fleet import FleetRollout, Word
from jaild.salt.rollout import asked, planning, report
from jaild.salt.rollout.driver import Pace
from jaild.salt.rollout.planning import Order, Where
from jaild.salt.rollout.salt_bus import SaltBus, word_tag
from jaild.salt.rollout.service import Rollouts
from jaild.salt.rollout.store import Store

__virtualname__ = "jaild_rollout"
__func_alias__ = {"list_": "list"}
__opts__: dict[str, Any]
__salt__: dict[str, Any]
__context__: dict[str, Any]

_WELL = frozenset({RolloutState.DONE})


def __virtual__() -> str:
    return __virtualname__


def _refusable(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a function that returns what is refused, with reason and hint, where the given one raises it."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return function(*args, **kwargs)
        except JaildError as error:
            return _returned(report.refusal(error), well=False)

    return told


@_refusable
def start(
    tgt: str | Sequence[str],
    tgt_type: str = "glob",
    base: str | None = None,
    channel: str | None = None,
    release: str | None = None,
    jails: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    canaries: int | Sequence[str] = 0,
    sites: Sequence[str] = (),
    site: str = "site",
    group: str = "rack",
    each: Mapping[str, Any] | None = None,
    leave_out_refused: bool = False,
    test: bool = False,
    **policy: Any,
) -> dict[str, Any]:
    """Plan a rollout and carry it out; return how it stands when it is over, or waits for a word.

    tgt, tgt_type
        The hosts, as for ``salt``.

    base, channel, release
        One of them: what to move to. A base needs ``jails`` or ``labels``.

    jails, labels
        Only these jails, only those with all of these labels.

    canaries
        How many hosts go first, alone, or which. None of them may fail.

    sites
        Sites that go first, in this order; the others follow by name.

    site, group
        The grains that name a host's site and rack. Of a rack of a site one host is changed or watched at a time.

    waves
        Sizes of a site's waves, as ``[1%, 10%]``; who is left is a last one.

    max_parallel
        Hosts that are changed or watched at once; 1.

    soak, healthy_deadline
        For so many seconds a host's jails must be well after its change (10), within so many (300, or twice the soak).

    budget, jail_budget
        Hosts, and jails of all of them, that may fail: ``3`` or ``1%``. No host if absent; as many jails as the hosts'
        own budgets allow.

    silence
        Seconds without an answer after which a host counts as failed; 300. Its rack waits for it.

    give_up
        Seconds without an answer after which its rack goes on; 3600.

    keep_failed, on_breach, stagger, deadline, maintenance
        As of ``jailctl rollout start``. Times are seconds.

    each
        How a host goes about its own: ``canaries``, ``waves``, ``max_parallel``, ``soak``, ``healthy_deadline``,
        ``stagger``, ``budget``, ``keep_failed``, ``leave_out_refused``, ``accept``.

    leave_out_refused
        Go on without the hosts whose plans are refused.

    test
        Only show the plan: waves with hosts and jails, and what each host's plan found. Nothing is changed.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.start 'edge-*' channel=stable canaries=2 waves='[1%, 10%]' max_parallel=50 test=True
    """
    spec = asked.spec(
        {"base": base, "channel": channel, "release": release, "jails": jails, "labels": labels},
        each or {},
        {**policy, "canaries": canaries if isinstance(canaries, int) else 0},
        target=tgt if isinstance(tgt, str) else ",".join(tgt),
        target_type=tgt_type,
        leave_out_refused=leave_out_refused,
    )
    rollout = fleet.begun(_new_id(), spec, _actor(), time.time())
    where = _where(tgt, tgt_type, site, group)
    rollouts = _rollouts()
    plans = rollouts.ask_plans(rollout, [*where])
    chosen = Order(tuple(sites), () if isinstance(canaries, int) else tuple(canaries))
    planned = planning.planned(rollout, plans, where, chosen)
    if test:
        against = rollouts.in_the_way(rollout.id, planned.steps)
        planned = dataclasses.replace(planned, problems=(*planned.problems, *against))
        return _returned(report.plan(planned, plans), well=not planned.errors)
    rollouts.accept(planned, plans)
    return _carried_out(rollout.id)


@_refusable
def status(rollout: str) -> dict[str, Any]:
    """Tell how a rollout stands: why, what may be done about it, and which hosts are not well.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.status 20261130-180000-a1b2
    """
    return _status(rollout)


def show(rollout: str) -> str:
    """Tell the same as ``status`` as a text, what matters first: Salt prints what ``status`` returns by the alphabet.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.show 20261130-180000-a1b2
    """
    return report.text(status(rollout))


@_refusable
def list_() -> dict[str, Any]:
    """List rollouts, newest first.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.list
    """
    store = _store()
    told = {rollout.id: report.brief(rollout, store.steps(rollout.id)) for rollout in store.rollouts()}
    return {**told, **{rollout: report.refusal(error) for rollout, error in store.damaged().items()}}


@_refusable
def host(rollout: str, name: str) -> dict[str, Any]:
    """Tell all that is known of one host of a rollout: its plan jail by jail, and what these run now that it is over.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.host 20261130-180000-a1b2 edge-7
    """
    _rollouts().get(rollout)
    store = _store()
    steps = [step for step in store.steps(rollout) if step.name == name]
    return report.host(steps, store.notes(rollout, "plan", name), store.notes(rollout, "runs", name))


@_refusable
def runs(rollout: str) -> dict[str, Any]:
    """Tell what the jails run now that it is over: base and release with their guids, by host and jail.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.runs 20261130-180000-a1b2 --out=json
    """
    return report.runs(*_rollouts().runs(rollout))


@_refusable
def pause(rollout: str) -> dict[str, Any]:
    """Begin nothing more; what has begun ends, each host's own rollout included.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.pause 20261130-180000-a1b2
    """
    return _said(rollout, Word.PAUSE)


@_refusable
def resume(rollout: str) -> dict[str, Any]:
    """Go on: what failed so far counts no more, a host that is silent is given up, the deadline begins anew.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.resume 20261130-180000-a1b2
    """
    return _said(rollout, Word.RESUME)


@_refusable
def cancel(rollout: str) -> dict[str, Any]:
    """Begin nothing more, and end when what has begun has ended; what moved stays.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.cancel 20261130-180000-a1b2
    """
    return _said(rollout, Word.CANCEL)


@_refusable
def undo(rollout: str) -> dict[str, Any]:
    """Take back what moved, also of one that is over: each host by its own rollout's undo. Again where it could not be.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.undo 20261130-180000-a1b2
    """
    return _said(rollout, Word.UNDO)


@_refusable
def go_on(rollout: str | None = None) -> dict[str, Any]:
    """Go on with rollouts whose runner has ended before they were over: the one that is named, or one after the other.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.go_on
    """
    if rollout:
        return _carried_out(rollout)
    return {found: _refusable(_carried_out)(found) for found in _rollouts().unattended()}  # one holds up no other


@_refusable
def forget(rollout: str) -> dict[str, Any]:
    """Remove a rollout that is over, or whose record is damaged; its hosts are told nothing.

    CLI Example:

    .. code-block:: bash

        salt-run jaild_rollout.forget 20261130-180000-a1b2
    """
    _rollouts().forget(rollout)
    return {"forgotten": rollout}


# -- carried out


def _said(rollout: str, word: Word) -> dict[str, Any]:
    _rollouts().say(rollout, word, _actor())
    _fire(word_tag(rollout), {"word": word.value})
    return _carried_out(rollout)


def _carried_out(rollout: str) -> dict[str, Any]:
    """Carry one out, unless another process does; return how it stands."""
    alone = _rollouts().carry_out(rollout, _tell)
    told = _status(rollout)
    return _returned(told, well=not alone or told["state"] in _WELL)


def _returned(told: dict[str, Any], *, well: bool) -> dict[str, Any]:
    """Return it so that salt-run ends with status 1, and an orchestration fails, if it is not well."""
    __context__["retcode"] = int(not well)
    return told if well else {**told, "retcode": 1}


def _tell(rollout: FleetRollout, decision: Decision) -> None:
    """Put what is decided onto the master's bus: jaild/rollout/ID/STATE."""
    told = {
        "state": rollout.state.value,
        "message": rollout.message,
        "begun": list(decision.start),
        "done": list(decision.passed),
        "undone": list(decision.undo),
        "failed": {verdict.name: verdict.message for verdict in decision.failed},
    }
    _fire(f"jaild/rollout/{rollout.id}/{rollout.state.value}", told)


def _fire(tag: str, told: dict[str, Any]) -> None:
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        bus.fire_event(told, tag)


def _status(rollout: str) -> dict[str, Any]:
    found, store = _rollouts().get(rollout), _store()
    return report.status(
        found,
        store.steps(rollout),
        pid=store.carried_out_by(rollout),
        words=store.words(rollout),
        messages=store.messages(rollout),
        now=time.time(),
    )


def _rollouts() -> Rollouts:
    pace = Pace(**__opts__.get("jaild", {}).get("rollouts", {}))
    return Rollouts(_store(), lambda rollout: SaltBus(__opts__, rollout), pace)


def _store() -> Store:
    return Store(Path(__opts__["cachedir"]) / "jaild")


# -- what is asked for


def _where(tgt: str | Sequence[str], tgt_type: str, site: str, group: str) -> dict[str, Where]:
    """Return the minions that are meant, with site and group, by the grains that the master has in its cache."""
    minions = salt.utils.minions.CkMinions(__opts__)
    # A wildcard means jails, too, since they are targets themselves: only what has a key is a host.
    everyone = set(minions.check_minions(".*", "pcre")["minions"])
    named = [name for name in minions.check_minions(tgt, tgt_type)["minions"] if name in everyone]
    grains = __salt__["cache.grains"](named, tgt_type="list") if named else {}
    return {name: _place(grains.get(name) or {}, site, group) for name in sorted(named)}


def _place(grains: Mapping[str, Any], site: str, group: str) -> Where:
    return Where(str(grains.get(site) or ""), str(grains.get(group) or ""))


def _actor() -> str:
    return str(salt.utils.user.get_specific_user())


def _new_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
