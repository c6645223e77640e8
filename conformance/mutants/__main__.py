"""Measure the suite: run it on a good plugin, and on each of many with one seeded bug.

    python conformance/mutants [--only ID]... [--jobs N] [--list]

The good plugin is what `moorage plugin new` writes. A mutant is that plugin with one bug of the
catalogue, the TOML files beside this one. It is caught when the test that the catalogue names
fails on it; that test runs first and alone, and only if it passes does the whole suite run, up to
its first failure. A mutant that no test catches is a missing test.

Exits with 1 if a mutant survives, if another test than the named one caught it, or if the good
plugin fails anything.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from _catalogue import CatalogueError, Mutant, read_catalogue
from _plugin import good_plugin
from _trial import Finding, Trial, Verdict

HERE = Path(__file__).resolve().parent


def main(words: Sequence[str]) -> int:
    """Run what was asked for and return the exit code."""
    options = _options(words)
    try:
        mutants = _chosen(read_catalogue(options.catalogue), options.only)
    except CatalogueError as exc:
        print(exc, file=sys.stderr)
        return 2
    if options.list:
        for mutant in mutants:
            print(f"{mutant.id:34} {mutant.caught_by:40} {mutant.bug}")
        return 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="moorage-mutants-") as directory:
        trial = Trial(good_plugin(Path(directory)), Path(directory), rest=options.rest)
        findings, healthy = _run(trial, mutants, options.jobs, whole=not options.only)
    caught = sum(finding.verdict is Verdict.CAUGHT for finding in findings)
    print(f"caught {caught} of {len(mutants)} in {time.monotonic() - begun:.0f} s")
    return 0 if healthy and caught == len(mutants) else 1


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description="Measure the conformance suite.")
    parser.add_argument("--only", action="append", metavar="ID", help="one mutant; repeatable")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--list", action="store_true", help="show the catalogue and run nothing")
    parser.add_argument("--catalogue", type=Path, default=HERE, help="directory of TOML files")
    parser.add_argument("--rest", metavar="EXPR", help="what of the suite runs second (pytest -k)")
    return parser.parse_args(words)


def _chosen(mutants: Sequence[Mutant], only: Sequence[str] | None) -> list[Mutant]:
    unknown = set(only or ()) - {mutant.id for mutant in mutants}
    if unknown:
        raise CatalogueError(f"there is no mutant {', '.join(sorted(unknown))}; see --list")
    return [mutant for mutant in mutants if not only or mutant.id in only]


def _run(
    trial: Trial, mutants: Sequence[Mutant], jobs: int, *, whole: bool
) -> tuple[list[Finding], bool]:
    """Run everything, tell about each as it ends, and say whether the good plugin is good."""
    with ThreadPoolExecutor(jobs) as pool:
        # The longest first, so that it does not run on alone at the end.
        good = pool.submit(trial.of_good_plugin) if whole else None
        tried = [pool.submit(trial.of_mutant, mutant) for mutant in mutants]
        findings = []
        for done in as_completed(tried):
            findings.append(done.result())
            for line in _lines(findings[-1]):
                print(line, flush=True)
    if good is None:
        return findings, True
    problems, passed = good.result()
    for problem in problems:
        print(f"good plugin: {problem}")
    print(f"good plugin: {passed} passed, {len(problems)} failed")
    return findings, not problems


def _lines(finding: Finding) -> Iterator[str]:
    where = f"{finding.test}: {finding.title}" if finding.test else finding.detail
    yield f"{finding.verdict:10} {finding.mutant.id:34} {where}  {finding.seconds:.1f} s"
    if finding.verdict is not Verdict.CAUGHT:
        yield f"{'':10} the bug: {finding.mutant.bug}"
        yield f"{'':10} expected: {finding.mutant.caught_by}"
        if finding.test and finding.detail:
            yield f"{'':10} {finding.detail}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
