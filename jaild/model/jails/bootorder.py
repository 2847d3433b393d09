"""In which order the jails of a host start when it boots, and stop when it goes down: the same backwards.

`boot.order` comes first, lower ones before higher. `boot.after` names jails that are to be there before: within one
order, or against it. What is named and is not among those that start is not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from jaild.model.problems import Problem, Severity

Groups = list[tuple[int, list[str]]]
"""The order, and the jails that start side by side; one order may have several groups."""

_Rank = tuple[int, int]  # the order that counts, and how many others come before it there, one after the other


def in_boot_order(orders: Mapping[str, int], after: Mapping[str, Sequence[str]]) -> Groups:
    """Return jails in groups, each group's by name: one starts when those before it have.

    Jails that wait for each other in a circle, as an arrival from another host may make them, start in some order.
    """
    ranks: dict[str, _Rank] = {name: (order, 0) for name, order in orders.items()}
    for _ in orders:  # a chain is no longer than there are jails
        before = dict(ranks)
        for name in orders:
            for other in after.get(name, ()):
                if other in ranks and other != name:
                    order, depth = ranks[other]
                    ranks[name] = max(ranks[name], (order, depth + 1))
        if ranks == before:
            break
    ranked = sorted(ranks, key=lambda name: (ranks[name], name))
    return [(rank[0], list(names)) for rank, names in groupby(ranked, key=ranks.__getitem__)]


def circle(name: str, after: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the way on which a jail waits for itself, it at both ends; () if it does not."""
    ways: list[tuple[str, ...]] = [(name,)]
    seen = {name}
    while ways:
        way = ways.pop()
        for other in after.get(way[-1], ()):
            if other == name:
                return (*way, name)
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()


def problems(name: str, after: Mapping[str, Sequence[str]], started: Mapping[str, bool]) -> list[Problem]:
    """Return what is wrong with what `name` waits for, by `after` of all jails.

    `started`: the jails that are this host's, and whether they start when it boots.
    """
    found = []
    if way := circle(name, after):
        found.append(
            Problem(
                severity=Severity.ERROR,
                code="BOOT_CIRCLE",
                message=f"{name} would wait for itself when the host boots: {' after '.join(way)}",
                subject=f"jails/{name}",
                hint="take one of them out of boot.after: what only needs the other while it runs need not wait",
            )
        )
    for other in after.get(name, ()):
        if not started.get(other, False):
            why = "does not start when the host boots" if other in started else "is not on this host"
            found.append(
                Problem(
                    severity=Severity.WARNING,
                    code="BOOT_AFTER_NOBODY",
                    message=f"{other}, which boot.after names, {why}: nothing is waited for as long as that is so",
                    subject=f"jails/{name}",
                    hint="see that the name is right; it counts again as soon as that jail is here",
                )
            )
    return found
