"""Every benchmark, each in a process of its own, and one table of what they found.

python -m benchmarks [load apply latency memory capture] [--quick] [--json]
"""

import argparse
import json
import subprocess
import sys

from benchmarks import report
from benchmarks.report import Figure

NAMES = ("load", "apply", "latency", "memory", "capture")


def figures_of(name: str, *, quick: bool) -> list[Figure]:
    """What one benchmark found; raises when it broke."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if quick else [])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [
        Figure(**{key: value for key, value in found.items() if key != "reached"}) for found in json.loads(ended.stdout)
    ]


def main() -> int:
    """Exit code 1 only when a benchmark broke; a goal that was missed is told, not punished."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The numbers of this machine")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    parser.add_argument("--json", action="store_true", help="print a list of figures instead of a table")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    figures: list[Figure] = []
    broken = False
    for name in options.names or NAMES:
        try:
            figures += figures_of(name, quick=options.quick)
        except subprocess.CalledProcessError as error:
            print(f"{name} broke with code {error.returncode}", file=sys.stderr)
            broken = True
    if options.json:
        print(report.as_json(figures))
    else:
        report.show(figures)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
