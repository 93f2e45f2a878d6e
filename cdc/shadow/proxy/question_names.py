"""What questions are called in outcomes: their endpoint, and themselves without secrets.

Users ask the same again and again, so names are remembered for as long as a new one would be the same.
"""

from typing import Final

from cdc.shadow.endpoints import Endpoints
from cdc.shadow.proxy.messages import Question
from cdc.shadow.requests import HttpRequest

_REMEMBERED: Final = 4_096


class QuestionNames:
    """Names the questions of one proxy."""

    def __init__(self) -> None:
        self._endpoints = Endpoints()
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._foldings = 0

    def of(self, question: Question) -> tuple[str, str]:
        """The endpoint of a question, and the question as it may be shown."""
        asked = question.method, question.target
        return self._known.get(asked) or self._made(HttpRequest(*asked))

    def _made(self, request: HttpRequest) -> tuple[str, str]:
        name = self._endpoints.folded(request).endpoint, str(request)
        if self._endpoints.foldings != self._foldings or len(self._known) >= _REMEMBERED:
            self._foldings = self._endpoints.foldings
            self._known.clear()
        self._known[request.method, request.target] = name
        return name
