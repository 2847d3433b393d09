"""Who may ask the page for anything."""

from __future__ import annotations

import pytest

from jaild.web.gate import COOKIE, refusal
from tests.unit.web.conftest import ORIGIN, Browser

HOST = {"host": "127.0.0.1:8420"}


@pytest.mark.parametrize(
    ("method", "headers", "refused"),
    [
        ("GET", HOST, False),
        ("GET", {"host": "localhost:8420"}, False),
        ("GET", {"host": "[::1]:8420"}, False),
        ("GET", {}, True),
        ("GET", {"host": "127.0.0.1:9000"}, False),  # through a tunnel
        ("GET", {"host": "127.0.0.1"}, False),
        ("GET", {"host": "127.0.0.1.evil.example"}, True),
        ("GET", {"host": "127.0.0.1:8420@evil.example"}, True),
        ("GET", {"host": "evil.example:8420"}, True),  # a name that was made to mean 127.0.0.1
        ("GET", HOST | {"sec-fetch-site": "none"}, False),
        ("GET", HOST | {"sec-fetch-site": "same-origin"}, False),
        ("GET", HOST | {"sec-fetch-site": "same-site"}, True),  # another port of this machine
        ("GET", HOST | {"sec-fetch-site": "cross-site"}, True),
        ("POST", HOST | {"origin": "http://127.0.0.1:8420"}, False),
        ("POST", HOST | {"origin": "null"}, False),  # as browsers send it where there is no referrer
        ("POST", HOST | {"origin": "http://127.0.0.1:9"}, True),
        ("POST", HOST | {"origin": "null", "sec-fetch-site": "same-site"}, True),
        ("PUT", HOST, True),
        ("OPTIONS", HOST, True),
    ],
)
def test_a_request_is_refused_whatever_its_token_if_it_is_none_of_ours(
    method: str, headers: dict[str, str], *, refused: bool
) -> None:
    assert bool(refusal(method, headers)) is refused


def test_the_token_becomes_a_cookie_and_leaves_the_address_bar(browser: Browser) -> None:
    browser.http.cookies.clear()
    answer = browser.http.get("/", params={"token": browser.keys.token}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == browser.root == f"{browser.keys.prefix}/"
    cookie = answer.headers["set-cookie"]
    assert f"{COOKIE}={browser.keys.session}; HttpOnly; Path={browser.root}; SameSite=strict" == cookie
    assert browser.keys.token not in cookie + answer.headers["location"]


def test_without_the_token_nothing_is_told(browser: Browser) -> None:
    browser.http.cookies.clear()
    for path in (
        "/",
        "/?token=wrong",
        "/?token=",
        "/?token=%C3%A9",
        browser.root,
        f"{browser.root}static/live.js",
        "/x",
    ):
        answer = browser.http.get(path)
        assert answer.status_code == 403, path
        assert "jailctl web" in answer.text
        assert "alpha" not in answer.text


def test_another_cookie_or_a_broken_one_is_none(browser: Browser) -> None:
    browser.http.cookies.clear()
    for cookie in (f"{COOKIE}=wrong", f"{COOKIE}=é", "][", f'{COOKIE}="', "other=1"):
        assert browser.http.get(browser.root, headers={"cookie": cookie.encode()}).status_code == 403


@pytest.mark.parametrize("other", ["a/b=1", "path", "x", '{"a": 1}=2', "a@b=c"])
def test_the_cookie_counts_beside_those_of_other_servers_on_this_machine(browser: Browser, other: str) -> None:
    """They come for /, from any port, and are what their makers like."""
    browser.http.cookies.clear()
    for cookie in (f"{COOKIE}={browser.keys.session}; {other}", f"{other}; {COOKIE}={browser.keys.session}"):
        assert browser.http.get(browser.root, headers={"cookie": cookie}).status_code == 200, cookie


def test_every_answer_forbids_what_the_page_does_not_need(browser: Browser) -> None:
    for path in (browser.root, f"{browser.root}static/style.css", f"{browser.root}nowhere", "/?token=wrong"):
        headers = browser.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy  # and so no other host
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_a_form_without_this_runs_key_is_refused(browser: Browser) -> None:
    path = f"{browser.root}hosts/alpha/do/confirm/web"
    for form in ({}, {"form": "wrong"}):
        answer = browser.http.post(path, data=form, headers={"origin": ORIGIN})
        assert answer.status_code == 403
        assert "open the page anew" in answer.text


def test_a_large_form_is_not_read_to_its_end(browser: Browser) -> None:
    answer = browser.http.post(f"{browser.root}hosts/alpha/do/confirm/web", data={"form": "x" * 5000})
    assert answer.status_code == 403
    assert "too large" in answer.text
