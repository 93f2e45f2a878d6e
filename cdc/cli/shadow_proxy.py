"""`cdc shadow proxy`: stands before the application, and compares what both sides answer."""

import os
from typing import Any, Final, TypeVar

import click
import msgspec

from cdc.audit import trail
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.config import Config
from cdc.errors import ConfigError, UsageError
from cdc.log import redact

_URL: Final = "URL"

T = TypeVar("T", bound=msgspec.Struct)


def _share(_context: click.Context, _parameter: click.Parameter, given: str | None) -> float | None:
    """`5%` or `0.05` as a share."""
    if given is None:
        return None
    try:
        share = float(given.removesuffix("%")) / (100 if given.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"--serve-candidate is no share of the clients: {given}",
            remedy="write it as `--serve-candidate 5%` or `--serve-candidate 0.05`",
        )
    return share


@click.command(
    cls=Command,
    examples=(
        ("cdc shadow proxy", "Serve users as `[shadow]` and `[shadow.proxy]` say, until Ctrl-C."),
        ("cdc shadow proxy --listen 127.0.0.1:8000 --minutes 60", "For an hour, at another address."),
        ("cdc shadow proxy --serve-candidate 5%", "Have a twentieth of the clients read from Postgres."),
    ),
)
@click.option("--listen", metavar="HOST:PORT", help="Where users reach the application.")
@click.option("--baseline", metavar=_URL, help="The instance of the application on SQLite.")
@click.option("--candidate", metavar=_URL, help="The instance on Postgres.")
@click.option("--serve-candidate", metavar="SHARE", callback=_share, help="Whose reads the candidate serves: 5%.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@pass_session
def proxy(
    session: Options,
    listen: str | None,
    baseline: str | None,
    candidate: str | None,
    serve_candidate: float | None,
    minutes: float | None,
) -> None:
    """Stand before the application: serve its answers, and compare those of the instance on Postgres.

    Users get what the baseline answers, whatever the candidate does. GET and HEAD are put to both, and answers that are
    of the same state of the data are compared. What came of it is kept in Postgres; see `docs/shadow-proxy.md`.
    """
    session.start_log(daemon=True)

    def chosen() -> Config:
        return _chosen(session.config(), listen, baseline, candidate, serve_candidate)

    config = chosen()
    try:
        from cdc.shadow.proxy.service import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the proxy needs what is not installed: {error.name}",
            remedy='run `pip install "cdc-sqlite-postgres[shadow]"`',
        ) from None
    shadow = config.shadow
    sides = {"baseline": shadow.baseline, "candidate": shadow.candidate}
    shown = {side: url and redact(url) for side, url in sides.items()}
    trail.record(config.state.dir, "shadow proxy", "started", {"listen": shadow.proxy.listen, **shown})
    with audited(config, "shadow proxy") as told:
        # On a terminal SIGHUP means that the terminal goes away: the proxy ends.
        facts = run_async(serve(config, minutes, None if os.isatty(0) else chosen))
        told["requests"] = facts.requests
        told["verdicts"] = [f"{count} {verdict}" for verdict, count in sorted(facts.verdicts.items())]
        told["not_compared"] = sum(facts.not_compared.values())


def _chosen(
    config: Config, listen: str | None, baseline: str | None, candidate: str | None, share: float | None
) -> Config:
    """The configuration with what the command line says instead."""
    shadow = config.shadow
    proxy_section = _replaced(shadow.proxy, listen=listen, serve_candidate=share)
    return _replaced(config, shadow=_replaced(shadow, proxy=proxy_section, baseline=baseline, candidate=candidate))


def _replaced(section: T, **given: Any) -> T:
    return msgspec.structs.replace(section, **{name: value for name, value in given.items() if value is not None})
