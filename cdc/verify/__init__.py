"""Whether Postgres holds what SQLite holds, judged without the code that applies changes.

Values are compared as `cdc.canonical` writes them; `cdc.values` and what applies rows stay out.
"""

from cdc.verify.report import TableReport, VerifyReport
from cdc.verify.run import verify

__all__ = ["TableReport", "VerifyReport", "verify"]
