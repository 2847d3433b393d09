"""A real Chromium without a screen, and what it is asked about a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.patience import patient

_COMES = patient(30.0)  # seconds in which a page shows what a daemon said
_NO_SCRIPTS = 2  # of Chromium's content settings: blocked

# What is wrong with a page for whoever does not see it, or has no mouse, and where contrast is below 4.5 (WCAG 1.4.3).
CHECKS = """
const faults = [];
const say = (what, node) => faults.push(`${what}: ${node.outerHTML.slice(0, 160)}`);
const all = (query) => [...document.querySelectorAll(query)];
if (all('h1').length !== 1) faults.push(`${all('h1').length} h1`);
for (const query of ['html[lang]', 'body > header', 'nav[aria-label]', 'main', 'a.skip[href="#main"]']) {
  if (all(query).length !== 1) faults.push(`not one ${query}`);
}
let level = 0;
for (const each of all('h1,h2,h3,h4')) {
  if (Number(each.tagName[1]) > level + 1) say('a heading is left out before', each);
  level = Number(each.tagName[1]);
}
for (const each of all('input:not([type=hidden]),select,textarea')) {
  if (![...each.labels].some((label) => label.textContent.trim())) say('no label', each);
}
for (const each of all('a,button,summary')) if (!each.textContent.trim()) say('no name', each);
for (const each of all('th:not([scope])')) say('no scope', each);
for (const each of all('svg')) if (each.getAttribute('role') !== 'img') say('no image', each);
for (const each of all('svg,progress,meter')) if (!each.getAttribute('aria-label')) say('no name', each);
for (const each of all('[role=region],section')) {
  const name = document.getElementById(each.getAttribute('aria-labelledby'));
  if (!name || !name.textContent.trim()) say('no name', each);
}
for (const each of all('.wide,pre')) if (each.tabIndex !== 0) say('cannot be scrolled by keys', each);
for (const each of all('[tabindex]')) if (each.tabIndex > 0) say('an order of its own', each);
for (const each of all('[role=status] time, [role=status] progress')) say('ticks aloud', each);
const ids = all('[id]').map((each) => each.id);
for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`id ${id} twice`);

const parts = (color) => color.match(/[\\d.]+/g).map(Number);
function behind(node) {
  for (let each = node; each; each = each.parentElement) {
    const color = parts(getComputedStyle(each).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
}
const light = (color) => color.slice(0, 3)
  .map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
for (const each of all('body *')) {
  const words = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  if (!words || !each.checkVisibility() || each.closest('.vh, .skip, noscript, option, svg')) continue;
  const [dark, bright] = [light(parts(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => a - b);
  const ratio = (bright + 0.05) / (dark + 0.05);
  if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, each);
}
return faults;
"""


class Browser:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    @property
    def address(self) -> str:
        return str(self.driver.current_url)

    def all(self, query: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, query))

    def text(self, query: str = "body") -> str:
        """The text that is shown of the first element; '' if there is none."""
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.innerText || ''", query))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a page shows something: no event of a browser reaches its driver."""
        WebDriverWait(self.driver, _COMES, poll_frequency=0.1).until(lambda _: condition(), f"…{self.text()[:3000]}")

    def faults(self) -> list[str]:
        return list(self.run(CHECKS))

    def emulate(self, *, width: int = 1280, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def picture(self, path: Path) -> None:
        """Write what is shown, for a person to look at."""
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))

    def requested(self) -> list[str]:
        """The addresses of all requests since it was asked last."""
        told = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        return [each["params"]["request"]["url"] for each in told if each["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What its console says since it was asked last, such as what a policy kept from being loaded."""
        return [entry["message"] for entry in self._log("browser")]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]


@contextmanager
def chromium(*, scripts: bool = True) -> Iterator[Browser]:
    """Start one, with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Tests run as root, which Chromium's sandbox refuses.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    if not scripts:
        blocked = {"profile.managed_default_content_settings.javascript": _NO_SCRIPTS}
        options.add_experimental_option("prefs", blocked)
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
