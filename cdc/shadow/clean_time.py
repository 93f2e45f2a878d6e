"""How long shadow reads found nothing, and what they never asked: what is to be known before reads or writes move."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cdc.facts.shadow import COMPARED, PROVES
from cdc.postgres.record.record import Record
from cdc.postgres.record.shadow import ShadowEndpoint
from cdc.shadow.endpoints import Endpoints, named_as_before
from cdc.shadow.ledger import BASELINE_KIND
from cdc.shadow.requests import HttpRequest


@dataclass(frozen=True, slots=True)
class CleanTime:
    """Since when each of the `endpoints` that were ever asked is shown to be alike.

    `since` is None while one of them is not, or where nothing was asked. Of the `logged` endpoints of an access log,
    `never_compared` has those that no shadow read ever compared, with how often users asked for them, most first.
    """

    since: datetime | None
    endpoints: int
    logged: int = 0
    never_compared: Mapping[str, int] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        """How many of the logged endpoints were compared."""
        return self.logged - len(self.never_compared)


async def clean_since(record: Record, logged: Sequence[HttpRequest] = ()) -> CleanTime:
    """The clean time of what Postgres keeps of a source; `logged` are reads of users, as `logged_reads` finds them."""
    return clean_time(await record.shadow.endpoints(), logged)


def clean_time(known: Sequence[ShadowEndpoint], logged: Sequence[HttpRequest] = ()) -> CleanTime:
    """The clean time of these endpoints; recordings without a candidate are no shadow reads."""
    asked = [endpoint for endpoint in known if endpoint.kind != BASELINE_KIND]
    clean = [proven_since(endpoint.clean_since, endpoint.verdicts) for endpoint in asked]
    since = max((at for at in clean if at is not None), default=None) if None not in clean else None
    counts = by_endpoint(named_as_before((endpoint.endpoint for endpoint in asked), logged), logged)
    return CleanTime(since, len(asked), len(counts), never_compared(counts, known))


def proven_since(clean_since: datetime | None, verdicts: Mapping[str, int]) -> datetime | None:
    """Since when an endpoint is shown to be alike: some pair of answers was, and none differed since."""
    return clean_since if any(verdicts.get(verdict) for verdict in PROVES) else None


def by_endpoint(endpoints: Endpoints, requests: Iterable[HttpRequest]) -> Counter[str]:
    """How many requests there are to each endpoint."""
    return Counter(endpoints.folded(request).endpoint for request in requests)


def never_compared(logged: Counter[str], known: Iterable[ShadowEndpoint]) -> dict[str, int]:
    """Those endpoints of which no two answers of one position were ever compared, the most frequent first."""
    shadow_reads = [endpoint for endpoint in known if endpoint.kind != BASELINE_KIND]
    compared = {e.endpoint for e in shadow_reads if any(e.verdicts.get(verdict) for verdict in COMPARED)}
    return {endpoint: count for endpoint, count in logged.most_common() if endpoint not in compared}
