"""The report as one page that needs nothing else: no script, no font, no address."""

from datetime import datetime
from pathlib import Path
from typing import Final

from cdc.pages.render import rendered
from cdc.shadow.report import ShadowReport, counts_text, remedy_of, unclean

_TEMPLATE: Final = Path(__file__).parent / "templates" / "report.html"


def page_of(report: ShadowReport) -> str:
    """The page as HTML; every text of users in it is escaped."""
    values = {"report": report, "remedy_of": remedy_of, "counts_text": counts_text, "unclean": unclean}
    return rendered(_TEMPLATE, values, {"ms": _ms, "span": _span, "moment": _moment})


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
