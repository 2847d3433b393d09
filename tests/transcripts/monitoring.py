"""The stories of docs/monitoring.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jaild.cli.commands import zabbix as command
from jaild.cli.zabbix.api import Zabbix
from tests.transcripts.stage import Acts, Stage, written
from tests.unit.cli.zabbix_stub import ZabbixStub


async def zabbix(stage: Stage) -> AsyncIterator[Acts]:
    """Push a host to a Zabbix, of which the page's address is told and a stub answers."""
    stub = ZabbixStub()

    class AtTheStub(Zabbix):
        def __init__(self, _url: str, *more: Any) -> None:
            super().__init__(stub.url, *more)

    host = await stage.add("alpha")
    await stage.hang_up("alpha")
    await host.stop()
    host.metrics_url = "https://192.0.2.11:9464/metrics"
    await host.start()
    await stage.listen("alpha")
    written(stage.folder, {"zabbix.token": "secret\n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Zabbix", AtTheStub)
        yield {}
    stub.stop()


async def feeds(stage: Stage) -> AsyncIterator[Acts]:
    """Print what a jail uses for collectd and OpenTSDB."""
    host = await stage.add("alpha")
    await host.add_base("tiny-1")
    await host.add_release("web/1")
    written(stage.folder, {"web.yaml": "base: tiny-1\napp: web/1\nlimits: {memory: 1G}\n"})
    await stage.quietly("jailctl jail create web -f web.yaml")
    yield {}
