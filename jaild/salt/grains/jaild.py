"""The grain ``jaild``: what a host is that has jaild. What changes by the hour is for the mine."""

from __future__ import annotations

import logging
from typing import Any

import grpc

from jaild.client import explanation
from jaild.salt import daemon, summary

log = logging.getLogger(__name__)

__opts__: dict[str, Any]


def jaild() -> dict[str, Any]:
    """Return the grain; none where no daemon answers."""
    try:
        with daemon.connect(daemon.settings(__opts__)) as api:
            return {"jaild": summary.grain(api)}
    except grpc.RpcError as error:
        log.info("jaild: no grain: %s", explanation(error).message)
        return {}
