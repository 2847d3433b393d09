"""Images in registries: their names, which registries may be used, and how they are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jaild import config
from jaild.model.errors import InvalidArgumentError, PermissionDeniedError
from jaild.model.layers import registry
from jaild.model.layers.registry import Registry

DIGEST = f"sha256:{'ab' * 32}"
NAMES = [
    ("docker://registry.example.org/base:12", "docker://registry.example.org/base:12"),
    ("docker://registry.example.org:5000/a/b-c/d_e:1.2_x", "docker://registry.example.org:5000/a/b-c/d_e:1.2_x"),
    ("docker://localhost/base:12", "docker://localhost/base:12"),
    ("docker://127.0.0.1:5000/base:12", "docker://127.0.0.1:5000/base:12"),
    ("docker://[::1]:5000/base:12", "docker://[::1]:5000/base:12"),
    (f"docker://registry.example.org/base@{DIGEST}", f"docker://registry.example.org/base@{DIGEST}"),
    (f"docker://registry.example.org/base:12@{DIGEST}", f"docker://registry.example.org/base@{DIGEST}"),
]
WRONG = [
    "",
    "debian:12",
    "registry.example.org/base:12",
    "oci:/srv/layout",
    "docker://debian:12",
    "docker://library/debian:12",
    "docker://registry.example.org/base",
    "docker://registry.example.org/Base:12",
    "docker://registry.example.org/base:",
    "docker://registry.example.org/base@sha256:abc",
    "docker://registry.example.org/../base:12",
    "docker://registry.example.org//base:12",
    "docker://team:secret@registry.example.org/base:12",
    "docker://registry.example.org/base:12 --src-creds=x",
    "docker://registry.example.org/base:12\n",
    "docker://--help.example/base:12" + "x" * 1000,
]


def test_an_image_is_asked_for_by_its_digest_where_that_is_known_and_else_by_its_tag() -> None:
    for text, exact in NAMES:
        found = registry.parse(text)
        assert (str(found), found.exact) == (text, exact)


@pytest.mark.parametrize("text", WRONG)
def test_what_leaves_host_or_tag_out_or_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        registry.parse(text)
    assert caught.value.reason == "INVALID_IMAGE"


def test_what_is_pushed_has_a_tag_and_its_own_digest() -> None:
    assert registry.destination("docker://registry.example.org/base:12").tag == "12"
    with pytest.raises(InvalidArgumentError):
        registry.destination(f"docker://registry.example.org/base:12@{DIGEST}")


def test_the_longest_prefix_of_whole_parts_counts_and_without_one_nothing_is_allowed() -> None:
    known = {"r.example": Registry(), "r.example/team": Registry(push=True), "r.example/team/old": Registry()}
    cases = {"r.example/a": None, "r.example/teams/x": None, "r.example/team/x": True, "r.example/team/old/x": None}
    for name, push in cases.items():
        reference = registry.parse(f"docker://{name}:1")
        registry.allowed(known, reference)
        if push:
            assert registry.allowed(known, reference, push=True).push
            continue
        with pytest.raises(PermissionDeniedError):
            registry.allowed(known, reference, push=True)
    for other in ("r.example.org/a", "r.example:5000/a", "127.0.0.1:5000/r.example/team"):
        with pytest.raises(PermissionDeniedError) as caught:
            registry.allowed(known, registry.parse(f"docker://{other}:1"))
        assert caught.value.reason == "REGISTRY_NOT_ALLOWED"


def test_only_this_host_itself_is_asked_without_tls_unless_that_is_said() -> None:
    cases = [
        ("127.0.0.1:5000", Registry(), True),
        ("[::1]:5000", Registry(), True),
        ("localhost", Registry(), True),
        ("127.0.0.1:5000", Registry(certificates=Path("/x")), False),
        ("registry.example.org:5000", Registry(), False),
        ("localhost.example.org", Registry(), False),
        ("10.0.0.1:5000", Registry(), False),
        ("10.0.0.1:5000", Registry(plain_http=True), True),
    ]
    for host, setting, plain in cases:
        assert registry.without_tls(setting, host) is plain, host


@pytest.mark.parametrize(
    ("prefix", "setting"),
    [
        ("docker://registry.example.org", {}),
        ("registry.example.org/base:12", {}),
        ("registry", {}),
        ("registry.example.org/", {}),
        ("registry.example.org", {"password": "secret"}),
    ],
)
def test_what_is_no_registry_is_refused_when_the_configuration_is_read(
    tmp_path: Path, prefix: str, setting: dict[str, str]
) -> None:
    path = tmp_path / "jaild.yaml"
    path.write_text(yaml.safe_dump({"registries": {prefix: setting}}))
    with pytest.raises(InvalidArgumentError) as caught:
        config.load(path, {})
    assert "registries" in caught.value.message
