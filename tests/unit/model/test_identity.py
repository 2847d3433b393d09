"""Files that say which machine it is: each jail's own, never its base's."""

from __future__ import annotations

import pytest

from jaild.model.etc import identity, plan
from jaild.model.etc.plan import Answer, Request, Sides
from jaild.model.etc.regenerate import HOST_KEYS
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.layers.records import Family
from jaild.model.problems import Severity

ID = "0123456789abcdef0123456789abcdef"
FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)
KEY, PUBLIC = "ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub"


def file(text: str) -> Entry:
    return Entry(kind=Kind.FILE, content=text.encode())


def base(mark: str) -> Tree:
    """Return an /etc that was a machine's."""
    keys = {KEY: file(f"key {mark}"), PUBLIC: file(f"public {mark}"), "ssh/sshd_config": file(mark)}
    return {"ssh": FOLDER, "hostid": file(f"id {mark}"), "machine-id": file(f"{mark * 32}\n"), **keys}


def planned(theirs: Tree, ancestor: Tree | None = None, mine: Tree | None = None) -> Answer:
    sides = Sides(theirs=theirs, ancestor=ancestor, mine=mine)
    return plan.carry_out(
        Request(etc=sides, local=Sides(theirs={}), local_folder="/l", family=Family.LINUX, machine_id=ID)
    )


def texts(tree: Tree) -> dict[str, str]:
    return {path: entry.content.decode() for path, entry in tree.items() if entry.kind is Kind.FILE}


OWN = {
    "ssh": FOLDER,
    KEY: file("own"),
    PUBLIC: file("own pub"),
    "machine-id": file("own"),
    "ssh/sshd_config": file("a"),
}


@pytest.mark.parametrize("content", [f"{'a' * 32}\n", "", "uninitialized\n"])
def test_a_new_jail_gets_a_machine_id_of_its_own_and_nothing_else_of_the_bases_identity(content: str) -> None:
    answer = planned({**base("a"), "machine-id": file(content)})
    assert texts(answer.etc) == {"machine-id": f"{ID}\n", "ssh/sshd_config": "a"}
    assert answer.etc["machine-id"].mode == 0o444
    assert answer.problems == ()


def test_the_bases_ssh_keygen_makes_the_host_keys_of_a_new_jail() -> None:
    assert planned(base("a")).tools == (HOST_KEYS,)


def test_a_base_without_an_identity_gives_none() -> None:
    answer = planned({"ssh": FOLDER, "ssh/sshd_config": file("a")})
    assert (texts(answer.etc), answer.tools) == ({"ssh/sshd_config": "a"}, ())


def test_a_jail_keeps_its_identity_on_another_base() -> None:
    answer = planned(base("b"), base("a"), OWN)
    assert texts(answer.etc) == {**texts(OWN), "ssh/sshd_config": "b"}
    assert (answer.tools, answer.problems) == ((), ())


def test_a_jail_keeps_its_identity_on_a_base_that_has_none() -> None:
    answer = planned({}, base("a"), OWN)
    assert texts(answer.etc) == {path: text for path, text in texts(OWN).items() if path != "ssh/sshd_config"}
    assert answer.etc["ssh"].kind is Kind.DIRECTORY


def test_an_identity_that_the_jail_removed_does_not_come_back() -> None:
    mine = {"ssh": FOLDER, "ssh/sshd_config": file("a")}
    answer = planned(base("b"), base("a"), mine)
    assert (texts(answer.etc), answer.tools) == ({"ssh/sshd_config": "b"}, ())


def test_a_jail_whose_new_base_is_the_first_with_an_identity_gets_its_own() -> None:
    answer = planned(base("b"), {}, {})
    assert (texts(answer.etc), answer.tools) == ({"machine-id": f"{ID}\n", "ssh/sshd_config": "b"}, (HOST_KEYS,))


def test_a_jail_with_host_keys_of_its_own_making_gets_no_others_of_its_first_base_with_some() -> None:
    mine = {"ssh": FOLDER, "ssh/ssh_host_rsa_key": file("made by hand")}
    answer = planned(base("b"), {}, mine)
    assert answer.tools == ()
    assert KEY not in answer.etc


def test_a_link_is_no_identity() -> None:
    link = Entry(kind=Kind.LINK, target="/var/lib/dbus/machine-id")
    assert planned({"machine-id": link}).etc["machine-id"] == link


def test_a_jail_that_has_its_bases_identity_is_told_so_and_keeps_it() -> None:
    answer = planned(base("b"), base("a"), base("a"))
    (problem,) = answer.problems
    assert (problem.code, problem.severity) == ("SHARED_IDENTITY", Severity.WARNING)
    assert problem.evidence == ("etc/hostid", "etc/machine-id", f"etc/{KEY}")
    assert answer.etc[KEY].content == b"key a"


def test_of_a_merge_after_the_stop_the_keys_that_were_made_stay() -> None:
    staged = {"ssh": FOLDER, "motd": file("a")}
    made = {**staged, KEY: file("made"), PUBLIC: file("made pub"), "motd": file("a")}
    again = {**staged, "motd": file("changed meanwhile")}
    etc, tools = plan.again(again, (("/other",), HOST_KEYS), staged, made)
    assert texts(etc) == {"motd": "changed meanwhile", KEY: "made", PUBLIC: "made pub"}
    assert tools == (("/other",),)


def test_keys_that_no_tool_made_are_made_after_the_stop_and_those_that_the_jail_removed_stay_away() -> None:
    staged = {"ssh": FOLDER, KEY: file("own")}
    assert plan.again({"ssh": FOLDER}, (HOST_KEYS,), staged, staged) == ({"ssh": FOLDER}, (HOST_KEYS,))


def test_a_base_with_an_identity_or_private_keys_is_told_of_with_the_files() -> None:
    etc = {
        **base("a"),
        "ssl/private/snakeoil.key": file("-----BEGIN PRIVATE KEY-----\nsecret\n"),
        "ssl/old.key": file("-----BEGIN RSA PRIVATE KEY-----\nsecret\n"),
        "ssl/cert.pem": file("-----BEGIN CERTIFICATE-----\n"),
        "notes": file("a\n-----BEGIN PRIVATE KEY-----\n"),
    }
    (problem,) = identity.in_base(etc, ("var/lib/systemd/random-seed",))
    assert (problem.code, problem.severity) == ("SHARED_IDENTITY", Severity.WARNING)
    assert "6 files" in problem.message
    assert [line.partition(":")[0] for line in problem.evidence] == [
        "etc/ssl/private/snakeoil.key",
        "etc/ssl/old.key",
        "var/lib/systemd/random-seed",
        "etc/hostid",
        "etc/machine-id",
        f"etc/{KEY}",
    ]
    assert not any("secret" in line for line in problem.evidence)


def test_a_base_as_it_should_be_is_not_told_of() -> None:
    assert identity.in_base({"machine-id": file(""), "passwd": file("root:x:0:0::/:/bin/sh\n")}, ()) == ()
    assert identity.in_base({"machine-id": file("uninitialized\n")}, ()) == ()
