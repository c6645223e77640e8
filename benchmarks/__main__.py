"""Run every measurement, one after the other, so that none disturbs another.

    python benchmarks [NAME...]

A NAME is a part of a program's path, such as `artifacts`; without one all run. Each program prints
its figures and fails where a promise is missed; so does this one then, after all have run.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(names: list[str]) -> int:
    programs = {
        str(path.relative_to(HERE)): path
        for path in sorted(HERE.glob("*/*.py"))
        if not path.name.startswith("_")
    }
    chosen = [
        program for program in programs if not names or any(name in program for name in names)
    ]
    if not chosen:
        print(f"no measurement matches {names}; there are: {', '.join(programs)}", file=sys.stderr)
        return 2
    missed = []
    for program in chosen:
        print(f"== {program}", flush=True)
        if subprocess.run([sys.executable, programs[program]], check=False).returncode:
            missed.append(program)
        print(flush=True)
    if missed:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
