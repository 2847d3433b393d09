"""Bases, releases and apps as messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaild.model.layers.channels import ChannelView
from jaild.model.layers.records import Built, Manifest
from jaild.model.views import BaseView, ReleaseView
from jaild.rpc import names, structs
from jaild.rpc.moments import timestamp
from jaild.v1 import apps_pb2, bases_pb2, channels_pb2


def base_message(view: BaseView) -> bases_pb2.Base:
    """Return a base as a message."""
    record = view.record
    return bases_pb2.Base(
        name=names.base_name(record.name),
        family=record.family.value,
        version=record.version,
        abi=record.abi,
        osreldate=record.osreldate,
        sha256=record.sha256,
        import_time=timestamp(record.imported),
        files=record.files,
        size_bytes=record.size,
        used_bytes=view.used,
        notes=record.notes,
        used_by=view.used_by,
        guid=view.guid,
        image=record.image,
    )


def channel_message(view: ChannelView) -> channels_pb2.Channel:
    """Return a channel as a message."""
    return channels_pb2.Channel(
        name=names.channel_name(view.channel.name),
        base=names.base_name(view.channel.base),
        moves=[
            channels_pb2.ChannelMove(
                base=names.base_name(move.base),
                previous_base=names.base_name(move.previous),
                move_time=timestamp(move.time),
                actor=move.actor,
            )
            for move in reversed(view.channel.moves)
        ],
        followers=map(names.jail_name, view.followers),
        behind=map(names.jail_name, view.behind),
    )


def release_message(view: ReleaseView) -> apps_pb2.Release:
    """Return a release as a message."""
    record = view.record
    message = apps_pb2.Release(
        name=names.release_name(record.reference),
        manifest=structs.message_of(record.manifest, apps_pb2.Manifest),
        sha256=record.sha256,
        push_time=timestamp(record.pushed),
        files=record.files,
        size_bytes=record.size,
        added_bytes=record.added,
        used_bytes=view.used,
        used_by=view.used_by,
        guid=view.guid,
        image=record.image,
    )
    if record.built is not None:
        message.built.CopyFrom(built_message(record.built))
    if record.parent:
        # `from` is a keyword of Python's
        setattr(message, "from", names.release_name(f"{record.app}/{record.parent}"))
    return message


def built_message(built: Built, packages: Sequence[str] = ()) -> apps_pb2.Built:
    """Return a release's origin as a message."""
    return apps_pb2.Built(
        base=names.base_name(built.base),
        abi=built.abi,
        osversion=built.osversion,
        recipe=built.recipe,
        packages=packages,
    )


def manifest_of(message: apps_pb2.Manifest) -> Manifest:
    """Return a message as a manifest. Raises `InvalidArgumentError` (INVALID_SPEC)."""
    return structs.struct_of(message, Manifest, reason="INVALID_SPEC", source="manifest")


def app_messages(views: Iterable[ReleaseView]) -> list[apps_pb2.App]:
    """Return the apps that the releases belong to."""
    by_app: dict[str, list[ReleaseView]] = {}
    for view in views:
        by_app.setdefault(view.record.app, []).append(view)
    return [
        apps_pb2.App(
            name=names.app_name(app),
            release_count=len(releases),
            latest_release=names.release_name(max(releases, key=lambda view: view.record.pushed).record.reference),
        )
        for app, releases in by_app.items()
    ]
