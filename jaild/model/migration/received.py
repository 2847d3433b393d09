"""Whether what came from another host is what it had offered: that was examined, and what came is what starts."""

from __future__ import annotations

import msgspec

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import Generation
from jaild.model.layout import DATA
from jaild.model.migration.protocol import JailOffer


def standbys_of(offer: JailOffer, host: str) -> tuple[str, ...]:
    """Return whom a copy on `host` names as hosts that may have a replica: from its first byte on."""
    return tuple(name for name in offer.standbys if name != host)


def offered_generation(offer: JailOffer) -> Generation:
    """Return the generation that a migration under way was begun with: it could be read then."""
    return msgspec.json.decode(offer.generation_json, type=Generation)


def mistakes(offer: JailOffer, offered: Generation) -> tuple[str, ...]:
    """Return where an offer contradicts itself: a run is made of `base` and `release`, the spec is what is examined."""
    layers = {layer.path for layer in offer.layers}
    release = offered.spec.app or ""
    datasets = {dataset.path for dataset in offer.datasets}
    found = {
        "its generation has another number": offered.number != offer.generation,
        "its generation's base is not its spec's": offered.base != (offered.spec.base or offered.base),
        "its generation's release is not its spec's": offered.release != release,
        "the base that it needs is not among its layers": f"bases/{offered.base}" not in layers,
        "the release that it needs is not among its layers": bool(release) and f"apps/{release}" not in layers,
        "a volume of its spec is not among its datasets": not {DATA, *offered.spec.volumes} <= datasets,
        # Whoever drops what is staged would drop what runs.
        "its generation is staged and active at once": offer.staged is not None
        and offer.staged.number == offer.generation,
    }
    return tuple(mistake for mistake, made in found.items() if made)


def require_same(jail: str, offered: Generation, received: Generation) -> None:
    """Raise `FailedPreconditionError` (GENERATION_DIFFERS) unless what came would run as what was offered."""
    differing = [
        name
        for name, one, other in (
            ("number", offered.number, received.number),
            ("base", offered.base, received.base),
            ("release", offered.release, received.release),
            ("spec", offered.spec, received.spec),
        )
        if one != other
    ]
    if differing:
        raise FailedPreconditionError(
            "GENERATION_DIFFERS",
            f"generation {received.number} of jail {jail} came with another {', '.join(differing)} than was offered",
            hint="nothing of it is started; see on its source who wrote to the jail's generations, then try again",
            resource=f"jails/{jail}",
            detail={"differs": " ".join(differing)},
        )
