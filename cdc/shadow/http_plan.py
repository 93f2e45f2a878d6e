"""What a run asks: requests out of all that was named, those that must not be asked taken out with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdc.config import Config, ShadowSection
from cdc.errors import UsageError
from cdc.shadow.endpoints import Endpoints, named_as_before
from cdc.shadow.from_data import Sample, from_data, parsed_template
from cdc.shadow.openapi import from_openapi
from cdc.shadow.request_files import DEFAULT_FORMAT, from_access_log, from_har, from_lines
from cdc.shadow.requests import HttpRequest, refusal


@dataclass(frozen=True, slots=True)
class Sources:
    """Where requests come from, as the command line names it."""

    files: Sequence[Path] = ()
    har: Sequence[Path] = ()
    access_logs: Sequence[Path] = ()
    log_format: str = DEFAULT_FORMAT
    openapi: Sequence[Path] = ()
    from_data: Sequence[str] = ()
    sample: Sample = field(default_factory=Sample)
    coverage: Sequence[Path] = ()  # access logs whose endpoints are to be asked some day

    @property
    def named(self) -> bool:
        """Whether there is any."""
        return any((self.files, self.har, self.access_logs, self.openapi, self.from_data))


@dataclass(frozen=True, slots=True)
class HttpPlan:
    """Requests to ask, each once, and those left out with the reason."""

    requests: Sequence[HttpRequest]
    left_out: Sequence[tuple[str, str]]
    templates: Sequence[str]  # of paths
    logged: Sequence[HttpRequest]  # of the logs of coverage

    def endpoints(self, known: Iterable[str]) -> Endpoints:
        """How the requests' endpoints are named; `known` are those that were asked before, whose names stay."""
        return named_as_before(known, [*self.requests, *self.logged], self.templates)


def planned(config: Config, sources: Sources) -> HttpPlan:
    """The plan of a run; raises `UsageError` where nothing is named or a source is none of its kind."""
    if not sources.named:
        raise UsageError(
            "nothing says which requests are to be put to both sides",
            remedy="name a file, a log, a recording or an OpenAPI document, or `--from-data PATH=SQL`",
        )
    requests: list[HttpRequest] = []
    left_out: list[tuple[str, str]] = []
    templates = [parsed_template(words) for words in sources.from_data]
    for file in sources.files:
        in_file, also = from_lines(file)
        requests += in_file
        templates += also
    for file in sources.har:
        requests += from_har(file)
    for file in sources.access_logs:
        logged, others = from_access_log(file, sources.log_format)
        requests += logged
        left_out += [(f"a line of {file.name}", "it is no request in the format of the log")] * others
    documents = [from_openapi(file) for file in sources.openapi]
    for document in documents:
        requests += document.requests
        left_out += document.left_out
    for template in templates:
        requests += from_data(config.source, template, sources.sample)
    paths = [template.path for template in templates] + [path for found in documents for path in found.templates]
    asked = []
    for request in dict.fromkeys(requests):
        reason = refusal(request, config.shadow)
        if reason:
            left_out.append((str(request), reason))
        else:
            asked.append(request)
    return HttpPlan(asked, left_out, paths, logged_reads(sources.coverage, sources.log_format, config.shadow))


def configured_reads(options: ShadowSection) -> list[HttpRequest]:
    """Those in the access log that the configuration names; none where it names none."""
    logs = [options.access_log] if options.access_log else []
    return logged_reads(logs, options.log_format or DEFAULT_FORMAT, options)


def logged_reads(logs: Iterable[Path], log_format: str, options: ShadowSection) -> list[HttpRequest]:
    """The requests in access logs, without those that must not be asked; raises `UsageError` for what is no log."""
    requests = [request for log in logs for request in from_access_log(log, log_format)[0]]
    return [request for request in requests if not refusal(request, options)]
