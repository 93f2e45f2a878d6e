"""Requests to the application and to services that keep flags. A redirect is an answer, and is not followed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import ConfigError

if TYPE_CHECKING:
    import urllib.request

_MOST_BYTES: Final = 1024 * 1024  # of an answer; the rest is not read


class Unreached(Exception):
    """No answer came, in words; `unseen` says that the request cannot have been carried out either."""

    def __init__(self, reason: str, *, unseen: bool) -> None:
        super().__init__(reason)
        self.unseen = unseen


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What came back."""

    status: int
    body: bytes

    @property
    def fine(self) -> bool:
        """Whether it is a success, 200 to 299."""
        return 200 <= self.status < 300


def headers_in(file: Path | None, content_type: str | None) -> dict[str, str]:
    """The headers in a file, one `Name: value` a line, and the kind of the body; raises `ConfigError`."""
    headers = {"User-Agent": "cdc", **({"Content-Type": content_type} if content_type else {})}
    if file is None:
        return headers
    try:
        lines = [line.partition(":") for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(
            f"the file of headers {file} cannot be read: {reason}",
            remedy="make it a file that the user who runs this tool may read, with one `Name: value` a line",
        ) from None
    return {**headers, **{name.strip(): value.strip() for name, _, value in lines}}


def ask(url: str, method: str, body: str | None, headers: dict[str, str], seconds: float) -> WebAnswer:
    """Put one request; raises `Unreached` when nothing came back within so many seconds."""
    import http.client  # noqa: PLC0415 (memory and a start that only who switches shall pay)
    import urllib.request  # noqa: PLC0415

    data = body.encode() if body is not None else None
    try:
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        with _opener().open(request, timeout=seconds) as found:
            return WebAnswer(found.status, found.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        words = getattr(reason, "strerror", None) or ("it took too long" if isinstance(reason, TimeoutError) else "")
        unseen = isinstance(reason, ConnectionRefusedError)
        raise Unreached(words or type(reason).__name__, unseen=unseen) from None


def _opener() -> "urllib.request.OpenerDirector":
    import urllib.request  # noqa: PLC0415

    class Unjudged(urllib.request.HTTPErrorProcessor):
        """Takes every answer as it is, where others make errors of some and follow redirects."""

        def http_response(self, request: Any, response: Any) -> Any:
            return response

        https_response = http_response

    return urllib.request.build_opener(Unjudged)
