"""Whether Postgres holds what SQLite holds, judged without the code that applies changes."""

from cdc.parity.report import TableReport, VerifyReport
from cdc.parity.run import verify

__all__ = ["TableReport", "VerifyReport", "verify"]
