"""Whether Postgres holds what SQLite holds, judged without the code that applies changes."""

from cdc.verify.report import TableReport, VerifyReport
from cdc.verify.run import verify

__all__ = ["TableReport", "VerifyReport", "verify"]
