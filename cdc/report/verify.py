"""Whether a report is as it was made: its seal, what the audit trail knows of it, and what it shows."""

from dataclasses import dataclass
from typing import Any, Final

from cdc import __version__
from cdc.audit.chain import AuditEntry
from cdc.errors import ExitCode
from cdc.pages.render import Unrenderable
from cdc.report.document import FORM, KIND
from cdc.report.facts import AuditFacts
from cdc.report.page import make_page
from cdc.report.seal import ReportFile, document_sha256, read_sealed, seal_document, seal_page

ACTION: Final = "report"


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """What was found. `known` is the entry of the trail that was written with the report, None where it has none.

    `forged` says why it is another report than the one that was made, although its seal fits; empty where it is not.
    """

    file: ReportFile
    known: AuditEntry | None
    trail: str
    shown: str
    forged: str = ""

    @property
    def intact(self) -> bool:
        """Whether it is what was made, as far as anybody can tell."""
        return self.file.intact and not self.forged

    @property
    def exit_code(self) -> ExitCode:
        """0 intact and known, 1 intact and known to nobody here, 2 broken."""
        if not self.intact:
            return ExitCode.CRITICAL
        return ExitCode.OK if self.known is not None and not self.trail else ExitCode.DIFFERENCE

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        made: dict[str, Any] = (self.file.document or {}).get("made") or {}
        return {
            "exit_code": int(self.exit_code),
            "kind": "page" if self.file.page else "document",
            "made_at": made.get("at"),
            "made_by": made.get("by"),
            "seal": "intact" if self.intact else "broken",
            "why": self.why or None,
            "sha256": self.file.sha256,
            "known": self.known.to_json() if self.known else None,
            "trail": self.trail or None,
            "shown": self.shown or None,
        }

    @property
    def why(self) -> str:
        """Why it is broken, empty where it is not."""
        if self.file.sealed is None:
            return "there is no seal at its end: it was cut, something was added, or it is no report"
        if self.file.sealed != self.file.sha256:
            return "it is not what was sealed: one byte at least is another one"
        return self.forged or ("" if self.file.document is not None else "it has no document in it")


def judge(data: bytes, audit: AuditFacts) -> ReportVerdict:
    """What a file is worth, by itself and by the entries `report` of a trail. Pure."""
    file = read_sealed(data)
    document = file.document
    if document is None or not file.intact:
        return ReportVerdict(file, None, "", "")
    if document.get("kind") != KIND:
        return ReportVerdict(file, None, "", "", "it is no report of cdc")
    known = _known(audit, document_sha256(document))
    if known is not None and file.page and known.details.get("page") != file.sha256:
        return ReportVerdict(file, known, "", "", "the audit trail knows its document, with another page around it")
    shown, forged = _shown(data, file, known)
    return ReportVerdict(file, known, _trail(audit), shown, forged)


def _known(audit: AuditFacts, sha256: str) -> AuditEntry | None:
    reports = (entry for entry in reversed(audit.entries) if entry.action == ACTION)
    return next((entry for entry in reports if entry.details.get("document") == sha256), None)


def _trail(audit: AuditFacts) -> str:
    """Why the trail's word is not worth all of itself, empty where it is."""
    if audit.error:
        return f"it could not be read: {audit.error}"
    broken = [verdict for verdict in (audit.file, audit.postgres) if verdict is not None and not verdict.whole]
    return "it is broken itself, see `cdc audit`" if broken else ""


def _shown(data: bytes, file: ReportFile, known: AuditEntry | None) -> tuple[str, str]:
    """Whether the file is what this version makes of its document, in words, and why it is forged where it is."""
    document = file.document or {}
    maker = (document.get("made") or {}).get("cdc")
    if (document.get("form"), maker) != (FORM, __version__):
        return f"not compared with its document: cdc {maker} made it, and this is {__version__}", ""
    try:
        again = seal_page(make_page(document)) if file.page else seal_document(document)
    except Unrenderable:
        return "", "its document cannot be shown"
    if again == data:
        return "all that it shows is what its document says", ""
    if known is not None:
        return "not compared with its document: another build of this version made it", ""
    return "", "what it shows is not what its document says"
