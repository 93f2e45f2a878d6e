"""What goes over the wire to a side and comes back, byte for byte."""

import msgspec

from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.proxy.headers import RawHeaders, marked, text


# Thousands of them are made in a second, and these are made in a fifth of a dataclass' time.
class Question(msgspec.Struct, frozen=True):
    """A request as it goes on: the target of its first line, and the headers meant for the other end."""

    method: str
    target: str
    headers: RawHeaders

    def marked(self) -> "Question":
        """The same, marked as one that nobody waits for."""
        return Question(self.method, self.target, marked(self.headers))


class Reply(msgspec.Struct, frozen=True):
    """A whole answer, with the headers meant for the other end and the body as it came."""

    status: int
    reason: str
    headers: RawHeaders
    body: bytes

    def to_compare(self) -> HttpAnswer:
        """The same as texts."""
        headers = tuple((text(name), text(value)) for name, value in self.headers)
        return HttpAnswer(self.status, headers, self.body)
