"""`jailctl web` in a real Chromium, over two real hosts with jails, and one that is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from selenium.webdriver.common.keys import Keys

from jaild.v1 import jails_pb2, migrations_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.node import CHECKOUT, surroundings
from tests.e2e.pair import Pair, paired
from tests.integrations.chromium import Browser, chromium

pytestmark = pytest.mark.real("chromium", "chromedriver", *LINUX_HOST)

PICTURES = CHECKOUT / "build" / "web"
SPEC = trees.spec("tiny-1", "web/1", standby="{peers: [beta], interval: 5}", labels="{team: cdn}")
PLAIN = trees.spec("tiny-1", "web/1")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """alpha with edge-1, which beta has a replica of, edge-2 and mover; beta with core-1."""
    folder = tmp_path_factory.mktemp("archives")
    with paired() as made:
        furnish(made.alpha.api, folder)
        for name, spec in (("edge-1", SPEC), ("edge-2", PLAIN), ("mover", PLAIN), ("core-1", PLAIN)):
            made.alpha.api.create(name, spec)
        made.alpha.api.migrate("core-1", "beta")
        yield made
        for node in (made.alpha, made.beta):
            for name in node.api.names_of_jails():
                node.api.delete(name)


@pytest.fixture(scope="module")
def address(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `jailctl web` prints, whose contexts are the two and one that does not answer."""
    home = tmp_path_factory.mktemp("home")
    sockets = {node.name: f"unix://{node.folder}/jaild.sock" for node in (pair.alpha, pair.beta)}
    contexts = {name: {"address": address} for name, address in {**sockets, "gamma": f"unix://{home}/none"}.items()}
    (home / "jaild").mkdir()
    (home / "jaild" / "contexts.yaml").write_text(yaml.safe_dump({"contexts": contexts}))
    argv = [sys.executable, "-c", "from jaild.cli.main import main; main()", "web", "--port", "0", "--interval", "1s"]
    env = surroundings() | {"XDG_CONFIG_HOME": str(home)}
    with subprocess.Popen(argv, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            yield program.stdout.readline().strip()
        finally:
            program.send_signal(signal.SIGINT)
    assert program.returncode == 0


@pytest.fixture(scope="module")
def window(address: str) -> Iterator[Browser]:
    with chromium() as made:
        made.emulate()
        made.open(address)
        yield made


@pytest.fixture(scope="module")
def root(window: Browser) -> str:
    """The overview's address, without the token."""
    return window.address


@pytest.fixture
def browser(window: Browser, root: str) -> Browser:
    """The window, at the overview, with all hosts asked."""
    window.emulate()
    window.open(root)
    window.until(lambda: shown(window, "alpha", "edge-1") and shown(window, "beta", "core-1"))
    return window


def shown(browser: Browser, host: str, jail: str) -> str:
    return browser.text(f"#j-{host}-{jail}")


def test_the_token_leaves_the_address_bar_and_all_hosts_stand_beside_each_other(browser: Browser, address: str) -> None:
    assert "token" not in browser.address
    assert urlsplit(browser.address).netloc == urlsplit(address).netloc
    assert "running" in shown(browser, "alpha", "edge-2")
    assert "tiny-1" in shown(browser, "beta", "core-1")
    browser.until(lambda: "beta" in shown(browser, "alpha", "edge-1"))  # its replica has a whole round
    browser.until(lambda: "unreachable" in browser.text("#h-gamma"))
    assert "is jaild running?" in browser.text(".concerns")
    browser.open(f"{browser.address}hosts/gamma")
    assert "see that jaild runs there" in browser.text("main")


def test_what_happens_is_shown_without_loading_the_page_again(browser: Browser, pair: Pair) -> None:
    browser.until(lambda: browser.text("#live") == "Live")
    browser.run("window.mark = 'here'; document.querySelector('#j-alpha-edge-2 a').focus()")
    pair.alpha.api.stop("edge-2")
    browser.until(lambda: "stopped" in shown(browser, "alpha", "edge-2"))
    pair.alpha.api.start("edge-2")
    browser.until(lambda: "running" in shown(browser, "alpha", "edge-2"))
    assert browser.run("return [window.mark, document.activeElement.textContent]") == ["here", "edge-2"]
    pair.alpha.api.migrate("mover", "beta")
    browser.until(lambda: "running" in shown(browser, "beta", "mover") and not shown(browser, "alpha", "mover"))
    assert browser.run("return window.mark") == "here"


def test_a_log_comes_as_it_is_written(browser: Browser, pair: Pair) -> None:
    browser.open(f"{browser.address}hosts/alpha/jails/edge-2")
    browser.until(lambda: browser.text("#log").count("version") > 0)
    before = browser.text("#log").count("version")
    pair.alpha.api.stop("edge-2")
    pair.alpha.api.start("edge-2")
    browser.until(lambda: browser.text("#log").count("version") > before)
    browser.until(lambda: "jail.started" in browser.text("main"))
    browser.until(lambda: browser.all(".chart svg"))


def deploy(pair: Pair) -> None:
    """Deploy the other release, to be confirmed."""
    other = "web/2" if pair.alpha.api.jail("edge-2").release.endswith("/1") else "web/1"
    pair.alpha.api.deploy("edge-2", other, confirm_within=Duration(seconds=3600))
    assert pair.alpha.api.jail("edge-2").revert_generation


def confirm(browser: Browser, *, live: bool = True) -> None:
    """Go from where it is told to its end; a page that is not live is loaded again."""

    def done() -> bool:
        if not live:
            browser.driver.refresh()
        return "done" in browser.text(".summary")

    (link,) = browser.all(".concerns .act")
    link.click()
    browser.until(lambda: browser.all(".steps"))
    (button,) = browser.all("form.agree button")
    assert button.text == "Confirm the change of edge-2"
    button.click()
    browser.until(lambda: "/operations/" in browser.address)
    browser.until(done)


def test_a_change_is_confirmed_after_its_plan(browser: Browser, pair: Pair) -> None:
    deploy(pair)
    browser.until(lambda: browser.all(".concerns .act"))
    confirm(browser)
    assert pair.alpha.api.jail("edge-2").revert_generation == 0


def test_it_works_without_javascript(pair: Pair, address: str, browser: Browser) -> None:
    deploy(pair)
    browser.until(lambda: browser.all(".concerns .act"))
    with chromium(scripts=False) as bare:
        bare.open(address)
        assert "load it again" in bare.all("#live")[0].text
        rows = {row.get_attribute("id") for row in bare.all("table.jails tbody tr")}
        assert rows >= {"j-alpha-edge-1", "j-alpha-edge-2", "j-beta-core-1"}
        confirm(bare, live=False)
    assert pair.alpha.api.jail("edge-2").revert_generation == 0


def pages(root: str, pair: Pair) -> list[str]:
    """One page of each kind."""
    api = pair.alpha.api
    stop = api.call(api.jails.StopJail, jails_pb2.StopJailRequest(name="jails/edge-2"))
    api.done(stop)
    api.start("edge-2")
    if api.jail("edge-2").generation == 1:
        api.deploy("edge-2", "web/2")
    (migration, *_) = api.call(api.migrations.ListMigrations, migrations_pb2.ListMigrationsRequest()).migrations
    host = f"{root}hosts/alpha"
    return [
        *(root, f"{root}?show=all", host, f"{root}hosts/gamma", f"{host}/jails/edge-1", f"{host}/{stop.name}"),
        *(
            f"{host}/{migration.name}",
            f"{host}/jails/nothing",
            f"{host}/jails/edge-2/diff/1/2",
            f"{host}/do/cancel-operation/{stop.name[11:]}",
        ),
    ]


def test_every_page_can_be_read_and_used_by_whoever_does_not_see_it_by_day_and_by_night(
    browser: Browser, root: str, pair: Pair
) -> None:
    faults: dict[str, list[str]] = {}
    for number, page in enumerate(pages(root, pair)):
        browser.open(page)
        for dark in (False, True):
            browser.emulate(dark=dark)
            faults[f"{page} {dark}"] = browser.faults()
            browser.picture(PICTURES / f"{number}-{'dark' if dark else 'light'}.png")
        background = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert max(background) < 60
    assert {page: found for page, found in faults.items() if found} == {}


def test_keys_reach_everything_and_where_one_is_can_be_seen(browser: Browser) -> None:
    browser.run("document.activeElement.blur()")
    body = browser.all("body")[0]
    seen: list[str] = []
    for _ in range(12):
        body.send_keys(Keys.TAB) if not seen else browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        told = "const now = document.activeElement; return [now.textContent.trim(), getComputedStyle(now).outlineStyle]"
        text, outline = browser.run(told)
        assert outline == "solid", text
        seen.append(text)
    assert seen[0] == "Skip to content"
    assert len(set(seen)) > 6


@pytest.mark.parametrize("width", [400, 1900])
def test_nothing_stands_out_of_a_narrow_window_or_a_wide_one(browser: Browser, root: str, width: int) -> None:
    for number, path in enumerate(("", "hosts/alpha", "hosts/alpha/jails/edge-1")):
        browser.emulate(width=width)
        browser.open(f"{root}{path}")
        browser.until(lambda: browser.text("#live") == "Live")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        browser.picture(PICTURES / f"{width}-{number}.png")


def test_no_request_leaves_this_machine(browser: Browser, root: str) -> None:
    browser.requested()
    browser.complaints()
    for path in ("", "hosts/alpha", "hosts/alpha/jails/edge-1", "?q=edge&show=all"):
        browser.open(f"{root}{path}")
        browser.until(lambda: browser.text("#live") == "Live")
    asked = browser.requested()
    assert len(asked) > 8
    assert [address for address in asked if not address.startswith(root)] == []
    assert browser.complaints() == []


def test_another_browser_without_the_token_is_told_nothing(address: str, root: str) -> None:
    with chromium() as stranger:
        for place in (root, f"{root}hosts/alpha", address[:-3]):
            stranger.open(place)
            assert "open the address that" in stranger.text() or "the token is wrong" in stranger.text()
            assert "edge-1" not in stranger.text()
