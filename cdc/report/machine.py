"""With what a report was made: versions, and a hash of the configuration that tells nothing of its secrets."""

import hashlib
import platform
from pathlib import Path
from typing import Any

import msgspec

from cdc.audit.chain import actor
from cdc.config import Config
from cdc.postgres.record.status import target_name
from cdc.report.facts import MachineFacts
from cdc.sqlite.connection.open import library_version


def read_machine(config: Config, config_file: Path, server: str | None) -> MachineFacts:
    """Who and what this is; `server` is the version of Postgres, None where it could not be asked."""
    versions = {
        "Python": platform.python_version(),
        "SQLite library": library_version(),
        "Postgres server": server or "not asked",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    return MachineFacts(actor(), versions, str(config_file), fingerprint(config))


def fingerprint(config: Config) -> str:
    """The SHA-256 of what the configuration says, but for what may be secret.

    Of the address of Postgres it has what `cdc status` shows; of alerts nothing; of flags, checks and the instances of
    shadow reads neither addresses nor headers, bodies, variables and programs.
    """
    told: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    told["target"]["dsn"] = target_name(config)
    del told["alerts"]
    for name in ("baseline", "candidate", "reference"):
        del told["shadow"][name], told["shadow"][f"{name}_headers"]
    told["cutover"]["flags"] = [flag["kind"] for flag in told["cutover"]["flags"]]
    told["cutover"]["checks"] = [check["name"] for check in told["cutover"]["checks"]]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()
