"""Every benchmark, each in a process of its own, and one table of what they found.

python -m benchmarks [NAME ...] [--quick | --check] [--json] [--record]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

from benchmarks import gate, machine, page, record, report
from benchmarks.figures import Figure, decode, encode
from benchmarks.record import Record

NAMES = (
    "load",
    "apply",
    "capture",
    "latency",
    "writer",
    "verify",
    "rolling",
    "growth",
    "many_tables",
    "two_writers",
    "memory",
    "shadow_proxy",
    "cutover",
)
CHECKED = ("load", "apply", "capture", "latency", "writer", "verify", "rolling", "growth", "many_tables")


def figures_of(name: str, options: Sequence[str]) -> list[Figure]:
    """What one benchmark found; raises when it broke."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    print(f"{name} took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return decode(ended.stdout)


def measured(names: Iterable[str], options: Sequence[str]) -> tuple[list[Figure], bool]:
    """All figures, and whether a benchmark broke."""
    figures: list[Figure] = []
    broken = False
    for name in names:
        try:
            figures += figures_of(name, options)
        except subprocess.CalledProcessError as error:
            print(f"{name} broke with code {error.returncode}", file=sys.stderr)
            broken = True
    return figures, broken


def main() -> int:
    """Exit code 1 when a benchmark broke, or with `--check` a ratio fell; a missed goal is told, not punished."""
    options = parse()
    known = CHECKED if options.check else NAMES
    names = options.names or known
    started = time.monotonic()
    figures, broken = measured(names, [f"--{how}" for how in ("quick", "check") if getattr(options, how)])
    if options.json:
        print(encode(figures).decode())
    else:
        report.show(figures)
    if options.record and not broken:
        took = f"{(time.monotonic() - started) / 60:.0f} minutes"
        record.save(Record({**machine.facts(), "took": took}, figures))
        page.write()
    return int(broken or (options.check and has_fallen(figures, names)))


def has_fallen(figures: Iterable[Figure], names: Iterable[str]) -> bool:
    """Name what is worse than recorded."""
    lines = gate.fallen(record.load().figures, figures, names)
    verdict = lines or [f"no ratio is more than {gate.MOST_FALL:.0%} below its recorded one"]
    print("\n".join(verdict), file=sys.stderr)
    return bool(lines)


def parse() -> argparse.Namespace:
    """The command line; ends the program when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The numbers of this machine")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is given")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    how.add_argument("--check", action="store_true", help=f"compare {', '.join(CHECKED)} with the recorded ratios")
    how.add_argument("--record", action="store_true", help="keep the result, and write docs/benchmarks.md from it")
    parser.add_argument("--json", action="store_true", help="print a list of figures instead of a table")
    options = parser.parse_args()
    known = CHECKED if options.check else NAMES
    if unknown := set(options.names) - set(known):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    if options.record and options.names:
        parser.error("only a run of everything is recorded")
    return options


if __name__ == "__main__":
    sys.exit(main())
