"""The two files of a report: what they are called, and writing them so that nothing that is there is lost."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from cdc.errors import UsageError
from cdc.host import private_files
from cdc.report.page import make_page
from cdc.report.seal import document_sha256, read_sealed, seal_document, seal_page


@dataclass(frozen=True, slots=True)
class ReportNames:
    """Where the page goes, and the document beside it."""

    page: Path
    document: Path

    @classmethod
    def of(cls, base: Path) -> Self:
        """Both names; a suffix that `base` has already is not doubled."""
        stem = base.with_suffix("") if base.suffix in {".html", ".json"} else base
        return cls(stem.with_name(f"{stem.name}.html"), stem.with_name(f"{stem.name}.json"))

    @property
    def taken(self) -> Path | None:
        """The one that is there already, None where neither is."""
        return next((file for file in (self.page, self.document) if file.exists() or file.is_symlink()), None)


def choose_names(out: Path | None, at: datetime) -> ReportNames:
    """The names that were asked for, else those of the day in the current folder, numbered where they are taken."""
    if out is not None:
        names = ReportNames.of(out)
        if (taken := names.taken) is not None:
            raise UsageError(
                f"{taken} is there already, and a report is never overwritten",
                remedy="name another file with `--out`, or move that one away",
            )
        return names
    base = f"cdc-report-{at:%Y-%m-%d}"
    numbered = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(names for name in numbered if not (names := ReportNames.of(Path(name))).taken)


def write_files(names: ReportNames, document: dict[str, Any]) -> dict[str, str]:
    """Write both, readable for their owner alone; returns the hashes by which the audit trail knows them again."""
    page = seal_page(make_page(document))
    for file, data in ((names.document, seal_document(document)), (names.page, page)):
        try:
            private_files.replace(file, data)
        except OSError as error:
            raise UsageError(
                f"no report can be written to {file}: {error.strerror}",
                remedy="name a file in a folder that you may write, with `--out`",
            ) from None
    return {"document": document_sha256(document), "page": read_sealed(page).sha256}
