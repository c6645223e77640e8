"""The page of a report in a real browser: Chromium without a window, driven by its WebDriver."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage_conformance._report import Report, capability_verdicts, write_report
from moorage_conformance.outcomes import Exchange, Level, Outcome, TestInfo, TestResult, verdict

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the WebDriver standard prescribes
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"

EXCHANGES = (
    Exchange(
        method="GET",
        target=f"/{HOSTILE}",
        status=200,
        delivered=True,
        request=f"GET /{HOSTILE} HTTP/1.1\nAuthorization: ***",
        reply=f"HTTP/1.1 200 OK\n\n{HOSTILE}",
    ),
    Exchange(method="PUT", target="/b", faults=("reset",), request="PUT /b HTTP/1.1"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="chromium or chromedriver is not installed: apt-get install chromium"
        " chromium-driver",
    ),
]


class Browser:
    """One session of a browser."""

    def __init__(self, port: int, profile: Path) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        words = ["--headless=new", "--disable-gpu", "--window-size=1200,1600"]
        words += ["--no-sandbox", "--disable-dev-shm-usage"]  # what containers do not have
        options = {"binary": CHROMIUM, "args": [*words, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.path = ""
        answer = self.send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = f"/session/{answer['sessionId']}"

    def send(self, method: str, path: str, content: Any = None) -> Any:
        body = None if method in {"GET", "DELETE"} else msgspec.json.encode(content or {})
        self.connection.request(method, self.path + path, body)
        response = self.connection.getresponse()
        value = msgspec.json.decode(response.read())["value"]
        assert response.status == 200, value
        return value

    def run(self, script: str) -> Any:
        return self.send("POST", "/execute/sync", {"script": script, "args": []})

    def type(self, text: str) -> None:
        """Press keys, wherever the focus is."""
        keys = [{"type": kind, "value": c} for c in text for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": keys}]
        self.send("POST", "/actions", {"actions": actions})

    def prefer(self, scheme: str) -> None:
        """Prefer light or dark, as a user's system does."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        content = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self.send("POST", "/goog/cdp/execute", content)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.send("GET", "/screenshot"))

    def visible_tests(self) -> list[str]:
        found: list[str] = self.run(
            "return [...document.querySelectorAll('#all-tests tbody tr')]"
            ".filter(row => row.checkVisibility()).map(row => row.querySelector('.id').textContent)"
        )
        return found

    def status(self) -> str:
        found: str = self.run("return document.querySelector('[role=status]').textContent")
        return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give a browser, which ends with the module."""
    home = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [str(DRIVER), "--port=0"],
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            ports = (re.search(r"successfully on port (\d+)", line) for line in process.stdout)
            browser = Browser(next(int(port[1]) for port in ports if port), home / "profile")
            try:
                yield browser
            finally:
                browser.send("DELETE", "")
                browser.connection.close()
        finally:
            process.terminate()


def result(name: str, outcome: Outcome, **more: Any) -> TestResult:
    info = TestInfo(
        id=name,
        title=f"What `{name}` promises.",
        resource=name.partition(".")[0],
        level=Level.CORE,
        requires=("secrets.put",),
    )
    return TestResult(info=info, outcome=outcome, **more)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Browser:
    """Give the browser with a report in front."""
    tests = (
        result("secrets.put", Outcome.PASS),
        result(
            "secrets.get",
            Outcome.FAIL,
            reason=HOSTILE,
            detail=f"Traceback\n{HOSTILE}",
            requests=3,
            exchanges=EXCHANGES,
        ),
        result("secrets.gone", Outcome.SKIPPED, reason="no way to do it"),
        result("artifacts.get", Outcome.PASS),
    )
    report = Report(
        run="0123abcd",
        verdict=verdict(tests),
        provider="dock",
        plugin=HOSTILE,
        suite="0.1.0",
        interface=1,
        digest="sha256:0",
        target="fake",
        level="core",
        platform="Linux",
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=1.0,
        counts={str(o): sum(t.outcome is o for t in tests) for o in Outcome},
        capabilities=capability_verdicts({"secrets.put": ("partial", HOSTILE)}, tests),
        tests=tests,
    )
    write_report(report, tmp_path)
    browser.send("POST", "/url", {"url": (tmp_path / "report.html").as_uri()})
    return browser


def test_page_works(opened: Browser) -> None:
    """The page loads nothing, runs nothing of the provider's, and filters by key and choice."""
    texts = opened.run(
        "return ['#failures p', '#failures pre', 'dd', '#capabilities tr:last-child td:last-child']"
        ".map(selector => document.querySelector(selector).textContent)"
    )
    everything = opened.visible_tests()
    opened.type("/get")
    searched, said = opened.visible_tests(), opened.status()
    opened.type("\ue004")  # the tabulator
    opened.type("f")  # the first choice that begins with it
    failed = opened.visible_tests()
    opened.type("\ue004\ue004\ue006")  # on to the button, and enter
    opened.run("return new Promise(done => setTimeout(done))")
    after, focus = opened.visible_tests(), opened.run("return document.activeElement.type")

    assert everything == ["secrets.put", "secrets.get", "secrets.gone", "artifacts.get"]
    assert (searched, said) == (["secrets.get", "artifacts.get"], "2 of 4 tests shown")
    assert failed == ["secrets.get"]
    assert (after, focus) == (everything, "reset")
    assert texts == [f"fail {HOSTILE}", f"Traceback\n{HOSTILE}", HOSTILE, HOSTILE]
    assert opened.run("return document.title") == "Conformance of dock: fail"
    assert opened.run("return document.querySelectorAll('script, img').length") == 1
    assert opened.run("return performance.getEntriesByType('resource').length") == 0
    assert opened.send("POST", "/se/log", {"type": "browser"}) == []


def test_transcript_opens(opened: Browser) -> None:
    """Requests and replies open by key, one by one, and are shown as text and nothing else."""
    opened.run("document.querySelector('#failures details:nth-of-type(2) > summary').focus()")
    opened.type("\ue006")  # enter
    titles = opened.run(
        "return [...document.querySelectorAll('.exchanges summary')].map(e => e.textContent)"
    )
    closed = opened.run("return document.querySelector('.exchanges pre').checkVisibility()")
    opened.type("\ue004\ue006")  # on to the first request, and enter
    shown = opened.run(
        "return [...document.querySelectorAll('.exchanges pre')]"
        ".filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    heading = opened.run(
        "return document.querySelector('#failures details:nth-of-type(2) > summary').textContent"
    )
    counts = opened.run(
        "return [...document.querySelectorAll('#all-tests tr')].map(r => r.cells[4].textContent)"
    )

    assert heading == "Requests and replies (2 of 3)"
    assert titles == [f"GET /{HOSTILE} 200", "PUT /b no reply, faults: reset"]
    assert not closed
    assert shown == [EXCHANGES[0].request, EXCHANGES[0].reply]
    assert counts == ["Requests", "", "3", "", ""]
    assert opened.send("POST", "/se/log", {"type": "browser"}) == []


CONTRAST = """
const light = text => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map(part => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const ground = element => {
  const colour = getComputedStyle(element).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : colour;
};
const writes = element => [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
const texts = [...document.querySelectorAll("body *")].filter(
  element => element.checkVisibility() && writes(element));
return texts.map(element => {
  const pair = [light(getComputedStyle(element).color), light(ground(element))];
  pair.sort((a, b) => b - a);
  return [element.outerHTML.slice(0, 80), (pair[0] + 0.05) / (pair[1] + 0.05)];
});
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_can_be_read(opened: Browser, scheme: str) -> None:
    """By day and by night every text stands out, what has the focus is seen, and nothing is cut."""
    opened.prefer(scheme)
    opened.run("document.querySelectorAll('#failures details').forEach(d => { d.open = true; })")
    background = opened.run("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    contrasts = opened.run(CONTRAST)
    plain = opened.screenshot()
    opened.type("\ue004")
    focused = opened.run("return document.activeElement.textContent")
    outline = opened.run("return getComputedStyle(document.activeElement).outlineStyle")

    assert (brightness > 600) is (scheme == "light")
    assert len(contrasts) > 40
    assert [pair for pair in contrasts if pair[1] < 4.5] == []
    assert (focused, outline) == ("Skip to the summary", "solid")
    assert opened.screenshot() != plain
    assert opened.run("return document.documentElement.scrollWidth <= innerWidth")


PHONE = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}


def test_page_fits_a_phone(opened: Browser) -> None:
    """On a narrow screen no text leaves its card, and only tables are wider than the screen."""
    content = {"cmd": "Emulation.setDeviceMetricsOverride", "params": PHONE}
    opened.send("POST", "/goog/cdp/execute", content)
    try:
        wide = opened.run(
            "return [...document.querySelectorAll('body *')].filter(element =>"
            " !element.closest('.wide, .skip, svg')"
            " && element.getBoundingClientRect().right > 360).map(e => e.outerHTML)"
        )
        cut = opened.run(
            "return [...document.querySelectorAll('.counts li, .card')]"
            ".filter(card => card.scrollWidth > card.clientWidth).map(e => e.outerHTML)"
        )
        width = opened.run("return innerWidth")
    finally:
        content = {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}}
        opened.send("POST", "/goog/cdp/execute", content)

    assert (wide, cut) == ([], [])
    assert width == PHONE["width"]
