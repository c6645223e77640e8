"""The files of a report: the data, its schema, the badge, the matrix and what differs."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.errors import InvalidRequestError, NotFoundError
from moorage_conformance._report import (
    CapabilityVerdict,
    Report,
    capability_verdicts,
    digest_of,
    read_report,
    write_report,
)
from moorage_conformance.outcomes import Level, Outcome, TestInfo, TestResult, verdict
from moorage_conformance.reports import (
    SCHEMA_FILE,
    badge,
    differences,
    matrix_markdown,
    matrix_rows,
    page,
    schema,
)

DECLARED = {
    "secrets.put": ("full", ""),
    "secrets.reveal": ("partial", "only for | an <hour>"),
    "jobs.get": ("unsupported", "there are no jobs"),
}


def result(name: str, outcome: Outcome = Outcome.PASS, **more: Any) -> TestResult:
    resource = name.partition(".")[0]
    requires = more.pop("requires", ())
    info = TestInfo(
        id=name, title=f"`{name}` holds.", resource=resource, level=Level.CORE, requires=requires
    )
    return TestResult(info=info, outcome=outcome, seconds=0.25, driver_calls=3, **more)


def report(*tests: TestResult, provider: str = "dock", **more: Any) -> Report:
    counts = {str(o): sum(t.outcome is o for t in tests) for o in Outcome}
    declared = more.pop("declared", DECLARED)
    values: dict[str, Any] = {
        "run": "0123abcd",
        "verdict": verdict(tests),
        "provider": provider,
        "plugin": f"moorage-{provider} 1.0",
        "suite": "0.1.0",
        "interface": 1,
        "digest": digest_of("0.1.0", f"moorage-{provider} 1.0", declared),
        "target": "fake",
        "level": "core",
        "platform": "Linux x86_64, Python 3.11.7",
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "seconds": 1.5,
        "counts": counts,
        "capabilities": capability_verdicts(declared, tests),
        "tests": tests,
    }
    return Report(**(values | more))


GOOD = result("secrets.put", requires=("secrets.put",))
BAD = result("secrets.put", Outcome.FAIL, requires=("secrets.put",), reason="it was lost")


def test_schema_is_that_of_the_structs() -> None:
    """The published JSON Schema is the one that the structs have today."""
    assert SCHEMA_FILE.read_bytes() == schema(), "run python -m moorage_conformance.reports"


def test_schema_names_every_field() -> None:
    """The schema describes each field that a report is written with, and what must be there."""
    definitions = msgspec.json.decode(SCHEMA_FILE.read_bytes())["$defs"]
    written = msgspec.to_builtins(report(GOOD))

    assert set(definitions["Report"]["properties"]) == set(written)
    assert set(definitions["TestResult"]["properties"]) == set(written["tests"][0])
    assert {"digest", "plugin", "suite", "interface"} <= set(definitions["Report"]["required"])
    assert definitions["Outcome"]["enum"] == sorted(map(str, Outcome))


def test_files(tmp_path: Path) -> None:
    """A report is written in every form, and is read back as it was."""
    written = report(GOOD, BAD, left_behind=("secret x: gone",), profile="mine", chosen="put")
    write_report(written, tmp_path / "out")

    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "badge.json",
        "junit.xml",
        "matrix.md",
        "report.html",
        "report.json",
    }
    assert read_report(tmp_path / "out" / "report.json") == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no report"),
        (b"[]", "is no report"),
        (b'{"schema_version": 1}', "is no report"),
        (b'{"schema_version": "1"}', "is no report"),
        (b'{"schema_version": 2, "all": "new"}', "has version 2 of the report"),
        (b"\xff", "is no report"),
    ],
)
def test_unreadable_report(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no report, or a newer one, is refused with the file's name and what to do."""
    path = tmp_path / "report.json"
    path.write_bytes(content)

    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_report(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_absent_report(tmp_path: Path) -> None:
    """A report that is not there is not found."""
    with pytest.raises(NotFoundError, match="there is no report"):
        read_report(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("tests", "message", "colour"),
    [
        ((GOOD,), "1 pass", "brightgreen"),
        ((GOOD, result("a.b", Outcome.DISABLED)), "1 pass (partial)", "yellow"),
        ((GOOD, BAD), "1 of 2 fail", "red"),
        ((GOOD, result("a.b", Outcome.ENGINE_ERROR)), "not known", "lightgrey"),
    ],
    ids=["pass", "partial", "fail", "error"],
)
def test_badge(tests: tuple[TestResult, ...], message: str, colour: str) -> None:
    """The badge says the verdict in the format that image services read."""
    content = msgspec.json.decode(badge(report(*tests)))

    assert content["schemaVersion"] == 1
    assert content["label"] == "moorage core"
    assert (content["message"], content["color"]) == (message, colour)


def test_matrix_of_several() -> None:
    """Providers stand side by side; what one report does not know is unsupported there."""
    other = report(BAD, provider="quay", declared={"secrets.put": ("full", "")})
    headers, rows = matrix_rows([report(GOOD), other])
    found = {row[0]: row[1:] for row in rows}

    assert headers == ["", "dock (moorage-dock 1.0)", "quay (moorage-quay 1.0)"]
    assert found["verdict"] == ["pass (core)", "fail (core)"]
    assert found["secrets.put"] == ["full", "full, fails"]
    assert found["secrets.reveal"] == ["partial, untested", "unsupported"]
    assert found["jobs.get"] == ["unsupported", "unsupported"]


def test_matrix_row() -> None:
    """The Markdown row counts what is proven, and no text can break out of its cell."""
    text = matrix_markdown([report(GOOD, plugin="a|b <i>\nc")])
    header, rule, row = text.splitlines()

    assert header == "| provider | plugin | suite | level | verdict | secrets | jobs |"
    assert rule.count("---") == 7
    assert row == r"| dock | a\|b \<i\> c | 0.1.0 | core | pass | 1 of 2 | 0 of 1 |"


def test_differences() -> None:
    """Verdicts that changed are told with the reason; durations and run ids are not."""
    before = report(GOOD, result("jobs.old"))
    now = report(BAD, result("jobs.new"), run="4567cdef", seconds=9.0)
    found = {(d.kind, d.name): (d.before, d.now, d.reason) for d in differences(before, now)}

    assert found == {
        ("verdict", "dock"): ("pass", "fail", ""),
        ("capability", "secrets.put"): ("full, pass", "full, fail", ""),
        ("test", "secrets.put"): ("pass", "fail", "it was lost"),
        ("test", "jobs.old"): ("pass", "absent", ""),
        ("test", "jobs.new"): ("absent", "pass", ""),
    }
    assert list(differences(before, report(*before.tests, run="x", seconds=2.0))) == []


HOSTILE = """</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"'&"""


def hostile_report() -> Report:
    """Return a report in which every text tries to become a part of the page."""
    info = TestInfo(id=HOSTILE, title=HOSTILE + "`" + HOSTILE, resource=HOSTILE, level=Level.CORE)
    test = TestResult(info=info, outcome=Outcome.FAIL, reason=HOSTILE, detail=HOSTILE)
    return report(
        test,
        provider=HOSTILE,
        plugin=HOSTILE,
        suite=HOSTILE,
        digest=HOSTILE,
        run=HOSTILE,
        target=HOSTILE,
        level=HOSTILE,
        profile=HOSTILE,
        chosen=HOSTILE,
        platform=HOSTILE,
        harness_problem=HOSTILE,
        left_behind=(HOSTILE,),
        capabilities={HOSTILE: CapabilityVerdict(level=HOSTILE, reason=HOSTILE)},
    )


class Elements(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_escaped() -> None:
    """No text of a report becomes an element, an attribute or a script of the page."""
    elements = Elements(page(hostile_report()))
    tags = [tag for tag, _ in elements.tags]

    assert elements.open == []
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not [a for _, attributes in elements.tags for a in attributes if a.startswith("on")]


def test_page_needs_nothing_else() -> None:
    """The page refers to no other file and to no server."""
    elements = Elements(page(report(GOOD, BAD)))
    targets = [a.get("src") or a.get("href") for _, a in elements.tags if {"src", "href"} & set(a)]

    assert all(target and target.startswith(("#", "data:")) for target in targets)
    assert "http" not in page(report(GOOD, BAD)).replace("http-equiv", "")


def test_page_can_be_heard() -> None:
    """Regions, tables, columns, rows and controls have names for those who do not see them."""
    elements = Elements(page(report(GOOD, BAD)))
    by_tag: dict[str, list[dict[str, str | None]]] = {}
    for tag, attributes in elements.tags:
        by_tag.setdefault(tag, []).append(attributes)
    ids = {attributes["id"] for _, attributes in elements.tags if "id" in attributes}
    pointed = {a["aria-labelledby"] for _, a in elements.tags if "aria-labelledby" in a}
    links = {str(a["href"]).removeprefix("#") for a in by_tag["a"]}

    assert [len(by_tag[tag]) for tag in ("h1", "main", "header", "nav", "footer")] == [1] * 5
    assert by_tag["html"][0]["lang"] == "en"
    assert pointed <= ids
    assert links <= ids
    assert all("scope" in attributes for attributes in by_tag["th"])
    assert len(by_tag["caption"]) == len(by_tag["table"]) == 2
    assert len(by_tag["label"]) == len(by_tag["input"]) + len(by_tag["select"])
