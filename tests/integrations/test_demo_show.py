"""`make demo SHOW=1`: the two hosts are watched from the first step on, and nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.demo import leftovers, workspace
from tests.demo.hosts import CHECKOUT
from tests.integrations.servers import eventually

pytestmark = [pytest.mark.real("prometheus", *LINUX_HOST), pytest.mark.timeout(900)]  # a first run builds the bases


def test_prometheus_and_the_page_are_seen_from_this_machine_and_see_both_hosts_until_an_interrupt(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.demo", str(tmp_path / "demo.json"), "--show"],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            name, prometheus, page = _told(demo)
            eventually(lambda: _up(prometheus) == {"alpha": "1", "beta": "1"}, "both hosts are scraped")
            eventually(lambda: _shown(page) == {"alpha": "up", "beta": "up"}, "both hosts are on the page")
        finally:
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, rest  # it was not at its end
    assert leftovers.find(name, workspace.ROOT / name) == []


def _told(demo: subprocess.Popen[str]) -> tuple[str, str, str]:
    """The run's name, and the addresses of its Prometheus and its page."""
    assert demo.stdout is not None
    name, prometheus, said = "", "", list[str]()
    for line in demo.stdout:
        said.append(line)
        if "a daemon and a pool each" in line:
            name = line.partition(":")[0]
        if found := re.match(r"Prometheus: (http://[\d.:]+)/targets", line):
            prometheus = found[1]
        if found := re.match(r"Page: (http://\S+)", line):
            return name, prometheus, found[1]
    raise AssertionError("".join(said))


def _up(page: str) -> dict[str, str]:
    try:
        with urllib.request.urlopen(f"{page}/api/v1/query?query=up", timeout=10) as answer:  # noqa: S310 -- the demo's
            rows = json.load(answer)["data"]["result"]
    except (urllib.error.URLError, ConnectionError):  # it is starting
        return {}
    return {row["metric"]["instance"]: row["value"][1] for row in rows}


def _shown(page: str) -> dict[str, str]:
    """The hosts' states, as a browser that keeps cookies sees them."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(page, timeout=10) as answer:
        text = answer.read().decode()
    rows = re.findall(r'<tr id="h-operator@(\w+)">.*?<td><span class="badge \w+">(\w+)<', text, re.DOTALL)
    return dict(rows)
