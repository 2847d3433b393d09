"""Keys as messages: what is typed reaches the use case, and nobody but an operator may type it."""

from __future__ import annotations

from typing import Any

import grpc

from jaild.v1 import keys_pb2, keys_pb2_grpc
from tests.fakes.use_cases.every import Fakes


async def test_a_key_is_loaded_seen_and_forgotten(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub: Any = keys_pb2_grpc.KeysStub(local)
    planned = await stub.LoadJailKey(keys_pb2.LoadJailKeyRequest(name="jails/web", key=b"secret", validate_only=True))
    assert [each.available for each in planned.datasets] == [False]
    loaded = await stub.LoadJailKey(keys_pb2.LoadJailKeyRequest(name="jails/web", key=b"secret"))
    assert (loaded.source, loaded.keyformat) == ("customers", "passphrase")
    seen = await stub.GetJailKeys(keys_pb2.GetJailKeysRequest(name="jails/web"))
    assert [(each.path, each.available, each.encryption_root) for each in seen.datasets] == [
        ("data", True, "tank/jaild/jails/web/data")
    ]
    gone = await stub.UnloadJailKey(keys_pb2.UnloadJailKeyRequest(name="jails/web"))
    assert [each.available for each in gone.datasets] == [False]
    assert fakes.jail_keys.calls[1] == ("load", ("web", b"secret"), {})


async def test_no_audit_line_has_the_key(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub: Any = keys_pb2_grpc.KeysStub(local)
    await stub.LoadJailKey(keys_pb2.LoadJailKeyRequest(name="jails/web", key=b"secret-passphrase"))
    await fakes.audit.written.wait()
    (line,) = fakes.audit.kept
    assert (line.method, line.target, line.outcome) == ("jaild.v1.Keys/LoadJailKey", "jails/web", "OK")
    assert "secret-passphrase" not in str(line)
