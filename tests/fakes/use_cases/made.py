"""Views as the fakes of the API's tests answer them."""

from __future__ import annotations

import msgspec

from jaild.model.errors import NotFoundError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import (
    BaseRecord,
    Built,
    Family,
    Generation,
    JailRecord,
    Manifest,
    Ownership,
    ReleaseRecord,
)
from jaild.model.views import BaseView, JailState, JailView, ReleaseView


def not_found(resource: str) -> NotFoundError:
    return NotFoundError("NOT_THERE", f"{resource} does not exist", hint="name another", resource=resource)


def base(name: str) -> BaseView:
    record = BaseRecord(name=name, family=Family.LINUX, version="12", abi="debian:12:amd64", imported=1.5, size=10)
    return BaseView(record=record, guid=(1 << 64) - 1, used=7, used_by=("jails/web/generations/1",))


def release(app: str, version: str, parent: str = "", pushed: float = 1.0) -> ReleaseView:
    record = ReleaseRecord(
        app=app, version=version, parent=parent, pushed=pushed, manifest=Manifest(command=("/usr/local/bin/run",))
    )
    return ReleaseView(record=record, guid=5, used=6)


def built(app: str, version: str) -> ReleaseView:
    view = release(app, version)
    origin = Built(base="14.1", abi="FreeBSD:14:amd64", osversion=1401000, packages=1)
    return msgspec.structs.replace(view, record=msgspec.structs.replace(view.record, built=origin))


def jail(name: str, app: str = "web/1") -> JailView:
    spec = JailSpec(base="debian-12", app=app or None)
    return JailView(
        name=name,
        state=JailState.RUNNING,
        record=JailRecord(
            uid="u-1", owner="h-1", epoch=3, state=Ownership.ACTIVE, generation=2, created=1_700_000_000.25
        ),
        generation=Generation(number=2, spec=spec, base="debian-12", release=app, created=2.0),
        owner_name="alpha",
        etag="e",
        exit_status=0,
    )
