"""What a filter of jails may ask for."""

from __future__ import annotations

from jaild.model.filters import Facts, Fields
from jaild.model.jails.liveness import Health
from jaild.model.views import JailState, JailView

FIELDS: Fields = {
    "name": (),
    "state": tuple(state.value for state in JailState),
    "health": tuple(health.value for health in Health),
    **dict.fromkeys(("generation", "base", "release", "app", "channel", "owner", "labels.KEY"), ()),
}


def facts(jail: JailView) -> Facts:
    """Return what a jail says of each field: the words that its messages have, without a collection's name."""
    generation, health = jail.generation, jail.health
    app, _, _ = (generation.release if generation is not None else "").partition("/")
    said = {
        "name": jail.name,
        "state": jail.state.value,
        "health": health.state.value if health is not None else "",
        "generation": str(generation.number) if generation is not None else "",
        "base": generation.base if generation is not None else "",
        "release": generation.release if generation is not None else "",
        "app": app,
        "channel": (generation.spec.channel or "") if generation is not None else "",
        "owner": jail.owner_name,
    }
    labels = generation.spec.labels if generation is not None else {}

    def values(field: str) -> list[str]:
        if field.startswith("labels."):
            return [labels[key]] if (key := field.removeprefix("labels.")) in labels else []
        return [said[field]] if said[field] else []

    return values
