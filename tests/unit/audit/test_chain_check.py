"""What is said of a chain by those who remember its end, by its own entries, and by what an older version wrote."""

from collections.abc import Sequence

from cdc.audit.chain import Head, Sealed, decode, entry, link
from cdc.audit.check import BROKEN, MOST_BREAKS, ChainCheck, ChainVerdict, Witness, last_words


def chain(count: int, action: str = "batch") -> list[Sealed]:
    sealed = []
    head = Head()
    for n in range(count):
        head, text = link(head, entry(action, "done", {"number": n}))
        sealed.append(text)
    return sealed


def head_of(sealed: Sealed) -> Head:
    found = decode(sealed.text)
    assert found is not None
    assert found.n is not None
    assert sealed.hash is not None
    return Head(found.n, sealed.hash)


def judge(sealed: Sequence[Sealed], *witnesses: Witness, noun: str = "entry", unwitnessed: str = "") -> ChainVerdict:
    check = ChainCheck(noun, witnesses, unwitnessed)
    for one in sealed:
        check.see(one)
    return check.verdict()


def words(verdict: ChainVerdict) -> list[str]:
    return [found.words.partition(" (")[0] for found in verdict.breaks]


def test_a_chain_that_was_written_anew_is_told_by_whoever_remembers_an_entry_of_the_old_one() -> None:
    old, new = chain(5), chain(5, "load")
    assert judge(new).whole
    assert words(judge(new, Witness("Postgres", head_of(old[2])))) == ["entry 3 is not the one that Postgres remembers"]


def test_a_missing_end_is_told_by_the_one_who_remembers_most() -> None:
    sealed = chain(6)
    witnesses = Witness("the file", head_of(sealed[3])), Witness("Postgres", head_of(sealed[5]))
    (missing,) = judge(sealed[:2], *witnesses).breaks
    assert str(missing) == "entries 3 to 6 are missing at the end: Postgres remembers them"


def test_a_witness_who_remembers_only_a_number_is_believed_that_far() -> None:
    sealed = chain(3)
    assert judge(sealed, Witness("Postgres", Head(3, ""))).whole
    assert words(judge(sealed[:2], Witness("Postgres", Head(3, "")))) == ["entry 3 is missing"]


def test_a_witness_who_cannot_be_heard_matters_only_where_there_is_a_chain() -> None:
    assert words(judge(chain(1), unwitnessed="its seal is gone")) == ["its seal is gone"]
    assert judge([], unwitnessed="its seal is gone").whole


def test_entries_of_a_version_without_hashes_are_counted_as_long_as_they_come_first() -> None:
    sealed = chain(2)
    old = Sealed(decode(sealed[0].text).body, None)  # type: ignore[union-attr]  # it was written just now
    verdict = judge([old, old, *sealed])
    assert (verdict.whole, verdict.entries, verdict.unchained) == (True, 4, 2)
    assert words(judge([*sealed, old])) == ["what stands after entry 2 is no sealed entry"]


def test_what_the_daemon_found_broken_stays_told_and_is_told_once() -> None:
    head, first = link(Head(), entry(BROKEN, "done", {"words": "line 5 is missing"}))
    again = link(head, entry(BROKEN, "done", {"words": "line 5 is missing", "again": 1}))[1]
    (found,) = words(judge([first, again]))
    assert found.endswith("line 5 is missing")


def test_lines_are_called_lines() -> None:
    sealed = chain(5)
    assert words(judge([sealed[0], *sealed[3:]], noun="line")) == ["lines 2 to 3 are missing"]


def test_breaks_beyond_those_told_in_words_are_still_counted() -> None:
    verdict = judge([*chain(1), *(Sealed("no entry", None) for _ in range(MOST_BREAKS + 5))])
    assert (len(verdict.breaks), verdict.more_breaks, verdict.whole) == (MOST_BREAKS, 5, False)


def test_nothing_is_written_before_entries_are_dropped_that_no_hash_binds() -> None:
    assert last_words([]) == []
    assert last_words([Sealed("no entry", None)]) == []
