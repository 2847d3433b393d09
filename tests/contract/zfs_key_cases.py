"""The ZFS contract: encrypted datasets. A ZFS without encryption has no keys, and that is all."""

from __future__ import annotations

import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.ports.zfs import Key
from tests.contract.zfs_host import MIB, ZfsHost, noise, pieces, refused
from tests.contract.zfs_rich_cases import cut_after

_PASSPHRASE, _OTHER = b"correct horse\n", b"battery staple\n"


async def _encrypted(host: ZfsHost, name: str = "a") -> str:
    """Make an encrypted dataset with a file in it and a snapshot @s1."""
    dataset = f"{host.top}/{name}"
    await host.zfs.create_encrypted(dataset, _PASSPHRASE, "passphrase", {})
    await host.write(dataset, "f", b"one")
    await host.zfs.snapshot(dataset, "s1")
    return dataset


class KeyCases:
    @pytest.fixture
    async def able(self, host: ZfsHost) -> ZfsHost:
        """Give a host whose ZFS can; skip where it says that it cannot."""
        can = await host.zfs.capabilities()
        if not can.encryption:
            assert can.implementation != "openzfs"
            pytest.skip("this ZFS has no encryption")
        return host

    async def test_what_is_not_encrypted_has_no_key(self, host: ZfsHost) -> None:
        await host.zfs.create(f"{host.top}/a")
        assert await host.zfs.keys(host.top) == {}

    async def test_an_encrypted_dataset_is_its_own_root_and_is_read_only_with_its_key(self, able: ZfsHost) -> None:
        name = await _encrypted(able)
        await able.zfs.create(f"{able.top}/plain")
        assert await able.zfs.keys(able.top) == {name: Key(root=name, available=True)}
        await refused(able.zfs.unload_key(name), FailedPreconditionError, "DATASET_BUSY")
        await able.zfs.unmount(name)
        await able.zfs.unload_key(name)
        await able.zfs.unload_key(name)
        assert await able.zfs.keys(able.top) == {name: Key(root=name, available=False)}
        await refused(able.zfs.mount(name), FailedPreconditionError, "KEY_UNAVAILABLE")
        await refused(able.zfs.load_key(name, _OTHER), InvalidArgumentError, "KEY_INCORRECT")
        await able.zfs.load_key(name, _PASSPHRASE, check=True)
        assert not (await able.zfs.keys(able.top))[name].available
        await able.zfs.load_key(name, _PASSPHRASE)
        await able.zfs.load_key(name, _PASSPHRASE)
        await refused(able.zfs.load_key(name, _OTHER, check=True), InvalidArgumentError, "KEY_INCORRECT")
        assert await able.read(name, "f") == b"one"

    @pytest.mark.parametrize(
        ("keyformat", "key"),
        [("passphrase", b"short\n"), ("hex", b"ab" * 31 + b"\n"), ("raw", b"x" * 31)],
        ids=["passphrase", "hex", "raw"],
    )
    async def test_a_key_that_is_not_what_its_format_says_makes_nothing(
        self, able: ZfsHost, keyformat: str, key: bytes
    ) -> None:
        refusal = able.zfs.create_encrypted(f"{able.top}/a", key, keyformat, {})
        await refused(refusal, InvalidArgumentError, "KEY_INVALID")
        assert [each.name for each in await able.zfs.datasets(able.top)] == [able.top]

    @pytest.mark.parametrize(
        ("keyformat", "key"), [("hex", b"ab" * 32 + b"\n"), ("raw", b"\n" + b"\0" * 31)], ids=["hex", "raw"]
    )
    async def test_keys_of_bytes_are_taken_as_they_are(self, able: ZfsHost, keyformat: str, key: bytes) -> None:
        await able.zfs.create_encrypted(name := f"{able.top}/a", key, keyformat, {"recordsize": "16384"})
        await able.zfs.unmount(name)
        await able.zfs.unload_key(name)
        await able.zfs.load_key(name, key)
        assert (await able.zfs.keys(name))[name].available

    async def test_what_is_sent_of_it_is_received_without_a_key_and_opened_by_its_own(self, able: ZfsHost) -> None:
        name, copy = await _encrypted(able), f"{able.top}/copy"
        first = await able.stream(f"{name}@s1")
        await able.write(name, "f", b"two")
        await able.zfs.snapshot(name, "s2")
        await able.zfs.unmount(name)
        await able.zfs.unload_key(name)
        await able.zfs.receive(copy, pieces(first), properties={"canmount": "noauto"})
        await able.zfs.receive(copy, pieces(await able.stream(f"{name}@s2", f"{name}@s1")))
        assert (await able.zfs.keys(able.top))[copy] == Key(root=copy, available=False)
        assert await able.zfs.is_unchanged(f"{copy}@s2")
        assert await able.zfs.estimate(f"{name}@s2") > 0
        await refused(able.zfs.load_key(copy, _OTHER), InvalidArgumentError, "KEY_INCORRECT")
        await able.zfs.load_key(copy, _PASSPHRASE)
        assert await able.read(copy, "f") == b"two"

    async def test_a_clone_has_the_key_of_its_origin_and_is_sent_raw_too(self, able: ZfsHost) -> None:
        name, clone, copy = await _encrypted(able), f"{able.top}/clone", f"{able.top}/copy"
        await able.zfs.clone(f"{name}@s1", clone)
        assert (await able.zfs.keys(able.top))[clone] == Key(root=name, available=True)
        await able.zfs.snapshot(clone, "c")
        await able.zfs.receive(copy, pieces(await able.stream(f"{clone}@c")), properties={"canmount": "noauto"})
        assert (await able.zfs.keys(able.top))[copy] == Key(root=copy, available=False)
        await able.zfs.load_key(copy, _PASSPHRASE)
        assert await able.read(copy, "f") == b"one"

    async def test_a_plain_increment_does_not_go_onto_an_encrypted_copy(self, able: ZfsHost) -> None:
        name = await _encrypted(able)
        await able.zfs.create(below := f"{name}/below")  # its key is the one above, so it is sent in the clear
        await able.write(below, "f", b"one")
        await able.zfs.snapshot(below, "s1")
        plain = f"{able.top}/plain"
        await able.zfs.receive(plain, pieces(await able.stream(f"{below}@s1")), properties={"canmount": "noauto"})
        assert plain not in await able.zfs.keys(able.top)

    async def test_a_raw_stream_that_was_cut_is_resumed(self, able: ZfsHost) -> None:
        await able.zfs.create_encrypted(name := f"{able.top}/a", _PASSPHRASE, "passphrase", {})
        await able.write(name, "big", noise(5 * MIB))
        await able.zfs.snapshot(name, "s1")
        with pytest.raises(ConnectionResetError):
            async with able.zfs.send(f"{name}@s1") as stream:
                await able.zfs.receive(f"{able.top}/b", cut_after(stream, 2 * MIB), resumable=True)
        token = await able.zfs.resume_token(f"{able.top}/b")
        assert token is not None
        async with able.zfs.send(f"{name}@s1", token=token) as rest:
            await able.zfs.receive(f"{able.top}/b", rest, resumable=True)
        assert (await able.zfs.keys(able.top))[f"{able.top}/b"] == Key(root=f"{able.top}/b", available=False)
        await able.zfs.load_key(f"{able.top}/b", _PASSPHRASE)
        assert await able.read(f"{able.top}/b", "big") == noise(5 * MIB)
