"""The service of keys."""

from __future__ import annotations

from jaild.jailkeys.service import JailKeys, JailKeysView
from jaild.rpc import names
from jaild.rpc.auth import Context
from jaild.rpc.services import Service
from jaild.v1 import keys_pb2, keys_pb2_grpc


class KeysServicer:
    """Answers `jaild.v1.Keys`."""

    service = Service("jaild.v1.Keys", keys_pb2_grpc.add_KeysServicer_to_server)

    def __init__(self, keys: JailKeys) -> None:
        self._keys = keys

    async def GetJailKeys(self, request: keys_pb2.GetJailKeysRequest, _: Context) -> keys_pb2.JailKeys:  # noqa: N802
        """Return how they are."""
        return _message(await self._keys.get(names.jail(request.name)))

    async def LoadJailKey(self, request: keys_pb2.LoadJailKeyRequest, _: Context) -> keys_pb2.JailKeys:  # noqa: N802
        """Load one."""
        jail = names.jail(request.name)
        return _message(await self._keys.load(jail, request.key, validate_only=request.validate_only))

    async def UnloadJailKey(self, request: keys_pb2.UnloadJailKeyRequest, _: Context) -> keys_pb2.JailKeys:  # noqa: N802
        """Forget one."""
        return _message(await self._keys.unload(names.jail(request.name), validate_only=request.validate_only))


def _message(view: JailKeysView) -> keys_pb2.JailKeys:
    if view.encryption is None:
        return keys_pb2.JailKeys()
    found = [
        keys_pb2.DatasetKey(path=path, available=key.available, encryption_root=key.root)
        for path, key in sorted(view.datasets.items())
    ]
    return keys_pb2.JailKeys(source=view.encryption.key, keyformat=view.encryption.keyformat, datasets=found)
