"""Names of questions: remembered, and yet those that a new look would give."""

from cdc.shadow.endpoints import MOST_VALUES, Endpoints
from cdc.shadow.proxy.messages import Question
from cdc.shadow.proxy.question_names import QuestionNames
from cdc.shadow.requests import HttpRequest


def test_what_is_remembered_is_what_a_new_look_would_say() -> None:
    names, endpoints = QuestionNames(), Endpoints()
    targets = [f"/of/{'abcdefghijklmnopqrstuvwxyz'[n]}/x?{'q' * (n % 3 + 1)}=1" for n in range(MOST_VALUES + 5)]
    for target in [*targets, *targets, *reversed(targets)]:
        request = HttpRequest("GET", target)
        assert names.of(Question("GET", target, ())) == (endpoints.folded(request).endpoint, str(request))
    assert names.of(Question("GET", targets[0], ()))[0] == "GET /of/{id}/x?q"


def test_secrets_are_not_shown() -> None:
    _, shown = QuestionNames().of(Question("GET", "/a?token=abc&b=1", ()))
    assert "abc" not in shown
