"""The values of a jail's environment are where its secrets are: others see their names, and a word for each value.

The word never becomes a value. A spec that was read with it can be sent back: each value that it stands for is kept.
"""

from __future__ import annotations

import msgspec

from jaild.model.jails.spec import JailSpec

REDACTED = "(redacted)"


def redacted(spec: JailSpec) -> JailSpec:
    """Return the spec as those see it who may not see values."""
    return msgspec.structs.replace(spec, environment=dict.fromkeys(spec.environment, REDACTED))


def restored(spec: JailSpec, current: JailSpec) -> JailSpec:
    """Return a spec that came back, its redacted values as the jail has them now.

    Where the jail has none under that name the word stays: `jaild.model.jails.validation` refuses it.
    """
    values = {
        name: current.environment.get(name, value) if value == REDACTED else value
        for name, value in spec.environment.items()
    }
    return msgspec.structs.replace(spec, environment=values)
