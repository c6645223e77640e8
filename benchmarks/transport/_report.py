"""Runs programs in turn, and prints what they took against their promises."""

import statistics
import time
from collections.abc import Callable


def in_turn(
    programs: dict[str, Callable[[], object]],
    rounds: int,
    *,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Return the seconds of each program in each round; an unmeasured round comes first.

    `before` is called before each program and not measured.
    """
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            before()
            begun = time.perf_counter()
            program()
            if number:
                taken[name].append(time.perf_counter() - begun)
    return taken


def table(
    title: str,
    taken: dict[str, list[float]],
    promises: dict[str, tuple[str, float]],
    *,
    unit: tuple[str, float],
) -> bool:
    """Print a table, and return whether every promise was kept.

    Of each program the median counts; a promise is a reference and how many times as long the
    program may take. The ratio is the median of the rounds' ratios, since what else the machine
    does hits both programs of one round alike.
    """
    name_of_unit, factor = unit
    print(f"{title:44}{name_of_unit:>12}{'ratio':>8}{'promise':>9}")
    kept_all = True
    for name, times in taken.items():
        line = f"  {name:42}{statistics.median(times) * factor:12.2f}"
        if name in promises:
            reference, promise = promises[name]
            ratio = statistics.median(
                mine / theirs for mine, theirs in zip(times, taken[reference], strict=True)
            )
            kept = ratio <= promise
            kept_all = kept_all and kept
            line += f"{ratio:8.2f}{promise:9.2f}{'' if kept else '   MISSED'}"
        print(line, flush=True)
    return kept_all
