"""`report.html`: one file that needs nothing else and can be read, searched and printed.

Every text of a report is escaped where it is written, and the page may load nothing and run
nothing but its own script: what a provider answered is data and stays data.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from itertools import groupby

from moorage._capability import NAMES  # what users read in the reference

from .._report import Report
from ..harness import blamed
from ..outcomes import Exchange, Outcome, TestResult, Verdict

_MARKS = {
    "pass": "good",
    "full": "good",
    "emulated": "good",
    "fail": "bad",
    "error": "bad",
    "engine error": "bad",
    "partial": "warn",
    "expected failure": "warn",
}
"""What gets a colour and a sign; the word always stands beside them."""

_SENTENCES = {
    Verdict.PASS: "Every promise that was tested is kept.",
    Verdict.PARTIAL: "Nothing failed, but core tests were not run.",
    Verdict.FAIL: "Promises are broken; each is named under Failures.",
    Verdict.ERROR: "The suite or the harness failed, so that little is known about the provider.",
}


def page(report: Report) -> str:
    """Return the page as HTML."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = escape(f"Conformance of {report.provider}: {report.verdict}")
    body = "\n".join((*_header(report), "<main>", *_sections(report), "</main>", _footer(report)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _mark(word: str, *, alarming: bool = True) -> str:
    """Return a word with its colour and its sign; without them where nothing of it happened."""
    kind = _MARKS.get(word, "none") if alarming else "none"
    return f'<span class="mark {kind}">{escape(word.replace("_", " "))}</span>'


# Head and foot ------------------------------------------------------------------------------------


def _header(report: Report) -> Iterator[str]:
    yield '<a class="skip" href="#summary">Skip to the summary</a>'
    yield "<header>"
    yield f"<h1>Conformance of {escape(report.provider)} {_mark(report.verdict)}</h1>"
    yield f'<p class="lead">{_SENTENCES[report.verdict]}</p>'
    yield '<nav aria-label="Sections"><ul>'
    yield '<li><a href="#summary">Summary</a></li>'
    if _failures(report):
        yield f'<li><a href="#failures">Failures ({len(_failures(report))})</a></li>'
    yield '<li><a href="#capabilities">Capabilities</a></li>'
    yield f'<li><a href="#tests">Tests ({len(report.tests)})</a></li>'
    yield "</ul></nav>\n</header>"


def _footer(report: Report) -> str:
    return (
        f"<footer><p>Written by moorage-conformance {escape(report.suite)}."
        f" The same data for programs: <code>report.json</code>.</p>"
        f"<p>Digest of suite, plugin and capabilities:"
        f' <span class="id">{escape(report.digest)}</span></p></footer>'
    )


# Sections -----------------------------------------------------------------------------------------


def _sections(report: Report) -> Iterator[str]:
    yield from _summary(report)
    if _failures(report):
        yield from _failure_cards(_failures(report))
    yield from _capabilities(report)
    yield from _tests(report)


def _summary(report: Report) -> Iterator[str]:
    yield '<section id="summary" aria-labelledby="summary-title">'
    yield '<h2 id="summary-title">Summary</h2>'
    if report.harness_problem:
        whose = blamed(report.harness_problem)
        yield f'<div class="card alert"><h3>{escape(whose.capitalize())}</h3>'
        yield f"<p>{escape(report.harness_problem)}</p></div>"
    if report.left_behind:
        yield '<div class="card alert"><h3>Could not be removed</h3><ul>'
        yield from (f"<li>{escape(left)}</li>" for left in report.left_behind)
        yield (
            f"</ul><p>Try <code>moorage conformance sweep {escape(report.run)}</code>.</p></div>"
        )
    yield _bar(report)
    yield '<ul class="counts">'
    for outcome, count in report.counts.items():
        if count or outcome in {Outcome.PASS, Outcome.FAIL}:
            yield f"<li><strong>{count}</strong>{_mark(outcome, alarming=bool(count))}</li>"
    yield '</ul>\n<div class="card"><dl>'
    for term, text in _facts(report):
        yield f"<dt>{term}</dt><dd>{escape(text)}</dd>"
    yield "</dl></div>\n</section>"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "Plugin", report.plugin
    yield "Suite", f"moorage-conformance {report.suite}"
    yield "Driver interface", f"version {report.interface}"
    yield "Level", report.level
    where = [f"profile {report.profile}"] if report.profile else []
    faults = ["with faults on the wire"] if report.faults else []
    yield "Target", ", ".join([report.target, *where, *faults])
    if report.chosen:
        yield "Only tests that match", report.chosen
    yield "Platform", report.platform
    yield "Started", report.started_at.isoformat(sep=" ", timespec="seconds")
    yield "Took", f"{report.seconds:.1f} s"
    yield "Run", report.run


def _bar(report: Report) -> str:
    """Return the outcomes as one bar, for the eye alone; the numbers stand under it."""
    total = sum(report.counts.values()) or 1
    at = 0.0
    parts = []
    for outcome, count in report.counts.items():
        width = 1000 * count / total
        kind = _MARKS.get(outcome, "none")
        parts.append(f'<rect class="{kind}" x="{at:.2f}" width="{width:.2f}" height="10"/>')
        at += width
    return (
        '<div class="bar" aria-hidden="true"><svg viewBox="0 0 1000 10"'
        f' preserveAspectRatio="none">{"".join(parts)}</svg></div>'
    )


def _failures(report: Report) -> list[TestResult]:
    bad = {Outcome.FAIL, Outcome.ENGINE_ERROR}
    return [test for test in report.tests if test.outcome in bad]


def _failure_cards(failures: Iterable[TestResult]) -> Iterator[str]:
    yield '<section id="failures" aria-labelledby="failures-title">'
    yield '<h2 id="failures-title">Failures</h2>'
    for test in failures:
        yield f'<article class="card alert">{_promise(test, "h3")}'
        yield f"<p>{_mark(test.outcome)} {escape(test.reason)}</p>"
        if test.detail:
            yield "<details><summary>Details</summary>"
            yield f'<pre tabindex="0">{escape(test.detail)}</pre></details>'
        if test.exchanges:
            yield from _transcript(test)
        yield "</article>"
    yield "</section>"


def _transcript(test: TestResult) -> Iterator[str]:
    """Yield what was asked and answered while the test ran, one line each until it is opened."""
    shown, arrived = len(test.exchanges), test.requests or 0
    count = str(shown) if shown >= arrived else f"{shown} of {arrived}"
    yield f"<details><summary>Requests and replies ({count})</summary>"
    yield '<ol class="exchanges">'
    for exchange in test.exchanges:
        yield (
            f"<li><details><summary><code>{escape(exchange.method)} {escape(exchange.target)}"
            f"</code> {_became(exchange)}</summary>"
            f'<pre tabindex="0">{escape(exchange.request)}</pre>'
        )
        if exchange.reply:
            yield f'<pre tabindex="0">{escape(exchange.reply)}</pre>'
        yield "</details></li>"
    yield "</ol></details>"


def _became(exchange: Exchange) -> str:
    """Return how an exchange ended, and what was made to go wrong with it."""
    words = ["no reply" if exchange.status is None else str(exchange.status)]
    if exchange.status is not None and not exchange.delivered:
        words.append("not delivered")
    if exchange.faults:
        words.append(f"faults: {', '.join(exchange.faults)}")
    return escape(", ".join(words))


def _promise(test: TestResult, tag: str) -> str:
    """Return the promise as it is meant to be read, with the test's id under it."""
    title = "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part)
        for index, part in enumerate(test.info.title.split("`"))
    )
    return f'<{tag}>{title}</{tag}><div class="id">{escape(test.info.id)}</div>'


def _capabilities(report: Report) -> Iterator[str]:
    yield '<section id="capabilities" aria-labelledby="capabilities-title">'
    yield '<h2 id="capabilities-title">Capabilities</h2>'
    if not report.capabilities:
        yield "<p>They are not known: the provider was not reached.</p>\n</section>"
        return
    used = sum(c.verdict != "unsupported" for c in report.capabilities.values())
    yield (
        '<div class="wide" role="region" aria-labelledby="capabilities-title" tabindex="0">'
        f"<table><caption>{used} of {len(report.capabilities)} are declared."
        " A capability is as good as the tests that need it.</caption>"
        '<thead><tr><th scope="col">Capability</th><th scope="col">Declared</th>'
        '<th scope="col">Tests say</th><th scope="col" class="number">Tests</th>'
        '<th scope="col">Reason</th></tr></thead>'
    )
    named = groupby(report.capabilities.items(), key=lambda item: item[0].partition(".")[0])
    for noun, group in named:
        yield f'<tbody><tr class="group"><th colspan="5" scope="rowgroup">{escape(noun)}</th></tr>'
        for name, capability in group:
            yield (
                f'<tr><th scope="row">{escape(NAMES.get(name, ""))}'
                f'<div class="id">{escape(name)}</div></th>'
                f"<td>{_mark(capability.level)}</td><td>{_mark(capability.verdict)}</td>"
                f'<td class="number">{capability.tests}</td>'
                f"<td>{escape(capability.reason)}</td></tr>"
            )
        yield "</tbody>"
    yield "</table></div>\n</section>"


def _tests(report: Report) -> Iterator[str]:
    yield '<section id="tests" aria-labelledby="tests-title">'
    yield '<h2 id="tests-title">Tests</h2>'
    yield _filter(report)
    wired = any(test.requests is not None for test in report.tests)
    yield (
        '<div class="wide" role="region" aria-labelledby="tests-title" tabindex="0">'
        '<table id="all-tests"><caption>Each test proves one promise.</caption><thead><tr>'
        '<th scope="col">Promise</th><th scope="col">Outcome</th><th scope="col">Level</th>'
        '<th scope="col" class="number">Driver calls</th>'
        + ('<th scope="col" class="number">Requests</th>' if wired else "")
        + '<th scope="col" class="number">Seconds</th></tr></thead><tbody>'
    )
    for test in report.tests:
        reason = f'<div class="quiet">{escape(test.reason)}</div>' if test.reason else ""
        resource = escape(test.info.resource)
        yield (
            f'<tr data-outcome="{escape(test.outcome)}" data-resource="{resource}">'
            f'<th scope="row">{_promise(test, "div")}</th>'
            f"<td>{_mark(test.outcome)}{reason}</td><td>{escape(test.info.level)}</td>"
            f'<td class="number">{test.driver_calls}</td>'
            + (f'<td class="number">{_number(test.requests)}</td>' if wired else "")
            + f'<td class="number">{test.seconds:.2f}</td></tr>'
        )
    yield "</tbody></table></div>\n</section>"


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _filter(report: Report) -> str:
    """Return the controls, which the script shows: without it they would do nothing."""
    outcomes = [outcome for outcome, count in report.counts.items() if count]
    resources = sorted({test.info.resource for test in report.tests})
    return (
        '<form id="filter" class="controls" role="search" aria-label="Tests" hidden>'
        "<label>Search (press / to get here)"
        '<input type="search" name="search" autocomplete="off" spellcheck="false"></label>'
        f"<label>Outcome{_select('outcome', outcomes)}</label>"
        f"<label>Suite{_select('resource', resources)}</label>"
        '<button type="reset">Show all</button></form>'
        '<p id="shown" class="quiet" role="status"></p>'
    )


def _select(name: str, options: Iterable[str]) -> str:
    listed = "".join(f"<option>{escape(option)}</option>" for option in options)
    return f'<select name="{name}"><option value="">any</option>{listed}</select>'
