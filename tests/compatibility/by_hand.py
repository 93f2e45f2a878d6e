"""Applications that are too big for the tests, tried in the same way: `python -m tests.compatibility.by_hand wagtail`.

Install them beforehand: `.venv/bin/pip install mlflow django-oscar wagtail`. Exit code 1 says that something differs.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]

from trial import Application, replicate

from cdc.config import ColumnOptions, Formats, TableOptions
from cdc.postgres.record.verification import EQUAL
from cdc.postgres.server import embedded

_UUID: Final = ColumnOptions(format="uuid")
_SEARCH: Final = "wagtailsearch_indexentry"

APPLICATIONS: Final = (
    Application("mlflow", own=("alembic_version",), tables={"spans": TableOptions(skip=["duration_ns"])}),
    Application("oscar", own=("django_migrations",), formats=Formats(timestamptz="iso utc")),
    Application(
        "wagtail",
        own=("django_migrations", _SEARCH),
        formats=Formats(timestamptz="iso utc", uuid="uuid"),
        tables={
            "tests_advertwithcustomuuidprimarykey": TableOptions(columns={"advert_id": _UUID}),
            "tests_uuidsnippetwithrelations": TableOptions(columns={"uuid": _UUID}),
        },
        search=tuple(f"{_SEARCH}_fts{part}" for part in ("", "_config", "_content", "_data", "_docsize", "_idx")),
    ),
)


def tried(app: Application, *, adopt: bool) -> bool:
    """Replicate one application into a server of its own and say what came of it; whether all is equal."""
    with tempfile.TemporaryDirectory(prefix="cdc-trial-") as place:
        folder = Path(place)
        with embedded.start(folder / "postgres", settings={"fsync": "off"}) as server:
            report, found = asyncio.run(replicate(app, folder, server.dsn, adopt=adopt))
    tables = [t for t in report.tables if t.matched]
    rows = sum(t.matched for t in tables)
    where = "its own tables" if adopt else "tables of ours"
    print(f"{app.name} into {where}: {len(report.tables)} tables, {len(tables)} of them with {rows:,} rows")
    print(f"  cdc verify: {report.result}, {report.differences} differences")
    print(f"  another comparison: {len(found)} differences", *found[:20], sep="\n    ")
    return report.result == EQUAL and not found


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the applications of these names; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=[app.name for app in APPLICATIONS])
    parser.add_argument("--target", choices=["ours", "own", "both"], default="both")
    wanted = parser.parse_args(arguments)
    kinds = [adopt for adopt, name in ((False, "ours"), (True, "own")) if wanted.target in (name, "both")]
    apps = [app for app in APPLICATIONS if app.name in wanted.names]
    equal = [tried(app, adopt=adopt) for app in apps for adopt in kinds]
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
