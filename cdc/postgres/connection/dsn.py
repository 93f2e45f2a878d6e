"""The address of a target, `dsn` in [target]: its name for people, and what is wrong with it before anything is asked.

A password with a character that is not percent-encoded moves the rest of itself to where the host, the database or an
option should be. So an address of which that could be true is shown to nobody, and nothing in it is quoted.
"""

import configparser
import os
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from cdc.errors import TargetRefused

_UNREADABLE: Final = "the configured DSN"
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")


def parts_of(dsn: str) -> SplitResult:
    """The parts of an address; raises `ValueError` when it is none, or can be read in two ways."""
    parts = urlsplit(dsn)
    misplaced = "@" in parts.path or "#" in dsn or ("@" in parts.query and "@" not in parts.netloc)
    if parts.scheme not in ("postgresql", "postgres") or misplaced:
        raise ValueError
    for host in _hosts(parts).split(","):
        _ = urlsplit(f"//{host}").port  # raises for what is no port
    parse_qs(parts.query, strict_parsing=bool(parts.query))
    return parts


def where(dsn: str) -> str:
    """A DSN for people and logs: hosts, ports and database, never the password."""
    try:
        parts = parts_of(dsn)
    except ValueError:
        return _UNREADABLE
    host = _hosts(parts) or _option(parts, "host") or ""
    return f"{'local socket' if host[:1] in ('', '/') else host}{parts.path}"


def holds_password(dsn: str) -> bool:
    """Whether the DSN itself gives a password; not when it cannot be read, for connecting will say so."""
    try:
        parts = parts_of(dsn)
    except ValueError:
        return False
    return parts.password is not None or _option(parts, "password") is not None


def without_password(dsn: str) -> tuple[str, str | None]:
    """The DSN for a command line, which every user of the machine may read, and the password that stood in it.

    Raises `ValueError` for what is no DSN.
    """
    parts = parts_of(dsn)
    options = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode([pair for pair in options if pair[0] != "password"], quote_via=quote)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    netloc = f"{userinfo.partition(':')[0]}{at}{hosts}"
    inside = unquote(parts.password) if parts.password is not None else _option(parts, "password")
    # Not by `geturl`, which leaves the slashes of an empty host out.
    return f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}", inside


def require_clear(dsn: str) -> None:
    """Raises `TargetRefused` for what the driver would read as something else, or not tell by its name."""
    try:
        parts = parts_of(dsn)
    except ValueError:
        raise TargetRefused(
            "`dsn` in [target] is not the address of a Postgres database",
            remedy="write it as postgresql://USER@HOST:PORT/DATABASE; special characters of a password are "
            "percent-encoded: %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?",
        ) from None
    for name in _FILES:
        if (file := _option(parts, name)) and not os.access(file, os.R_OK):
            raise TargetRefused(
                f"`{name}` in `dsn` names a file that cannot be read: {file}",
                remedy="correct its path, or let the user that runs this tool read it",
            )
    if (service := _option(parts, "service")) and not _has_service(service):
        raise TargetRefused(
            f"`service` in `dsn` is not known: {service}",
            remedy="add it to ~/.pg_service.conf of the user that runs this tool, or to the file in PGSERVICEFILE",
        )


def _hosts(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _option(parts: SplitResult, name: str) -> str | None:
    return parse_qs(parts.query).get(name, [None])[-1]


def _has_service(name: str) -> bool:
    services = configparser.ConfigParser(interpolation=None)
    try:
        services.read(os.environ.get("PGSERVICEFILE") or Path("~/.pg_service.conf").expanduser())
    except configparser.Error:
        return False
    return services.has_section(name)
