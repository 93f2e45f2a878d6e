"""Every error that Postgres knows has a policy, and only what a person must decide ends the daemon."""

import asyncpg
import pytest

from cdc.errors import CdcError, Policy, TargetHindered, TargetRefused, TargetSurprise, TargetUnavailable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.sqlstate import Answer, judge

KNOWN = {
    kind.sqlstate: kind
    for kind in vars(asyncpg.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, asyncpg.PostgresError) and kind.sqlstate
}

ANSWERS = {
    **dict.fromkeys(("08000", "08006", "57P01", "57P02", "57P03", "57P04", "57P05", "53300"), Answer.RECONNECT),
    **dict.fromkeys(("57014", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "55P03"), Answer.WAIT),
    **dict.fromkeys(("25000", "55000", "55006", "58030", "54001", "XX001", "XX002"), Answer.WAIT),
    **dict.fromkeys(("28000", "28P01", "3D000", "42501"), Answer.REFUSED),
    **dict.fromkeys(("26000", "42P05", "34000"), Answer.POOLER),
    **dict.fromkeys(("0A000", "42P01", "42703", "3F000", "42P10", "42804", "XX000", "P0001", "23505"), Answer.ANEW),
}
# What a person is told who could help, by a few of the words.
HELP = {
    **dict.fromkeys(("25006", "55000"), "promote the standby"),
    **dict.fromkeys(("25P03", "57014"), "except this role"),
    **dict.fromkeys(("53100", "53200", "54001"), "free space"),
    **dict.fromkeys(("XX001", "XX002"), "restore it from a backup"),
    "55P03": "who holds the lock",
    "58030": "what its disk or its files refuse",
}


@pytest.mark.parametrize("code", HELP)
def test_who_could_help_is_told_how(code: str) -> None:
    with pytest.raises(TargetHindered) as told, translated("working"):
        raise KNOWN[code]("words")
    assert f"it is tried again by itself{judge(code).help}" == told.value.remedy
    assert HELP[code] in told.value.remedy


@pytest.mark.parametrize("code", ANSWERS)
def test_an_error_has_the_answer_of_its_code_or_else_of_its_class(code: str) -> None:
    assert judge(code).answer is ANSWERS[code]


def test_a_code_of_a_later_version_has_the_answer_of_its_class() -> None:
    assert judge("53999").answer is Answer.WAIT
    assert judge("ZZ999").answer is judge(None).answer is Answer.ANEW


@pytest.mark.parametrize("code", sorted(KNOWN))
def test_no_error_of_the_server_ends_the_daemon_at_once(code: str) -> None:
    """The driver's own classes, as they are raised: with words, and without their details."""
    with pytest.raises(CdcError) as told, translated("working"):
        raise KNOWN[code]("words")
    assert told.value.policy is not Policy.NEEDS_A_PERSON
    assert "words" in told.value.message
    assert told.value.remedy
    wanted = {
        Answer.RECONNECT: TargetUnavailable,
        Answer.WAIT: TargetHindered,
        Answer.REFUSED: TargetRefused,
        Answer.POOLER: TargetRefused,
        Answer.ANEW: TargetSurprise,
    }
    assert type(told.value) is wanted[judge(code).answer]
