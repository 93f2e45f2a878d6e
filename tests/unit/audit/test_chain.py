"""The chain of the audit trail: whole as it was written, and broken by whatever is done to it afterwards."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.audit.chain import AuditEntry, Detail, Head, Sealed, decode, entry, link, seal
from cdc.audit.check import ACCEPT, TRIM, ChainCheck, ChainVerdict, Witness, last_words

texts = st.text(max_size=20)
details = st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans(), st.none(), st.lists(texts, max_size=3)))
entries = st.lists(
    st.builds(AuditEntry, at=texts, actor=texts, action=texts, result=texts, details=details), min_size=2, max_size=12
)


def chain(made: Sequence[AuditEntry], head: Head | None = None) -> list[Sealed]:
    sealed = []
    head = head or Head()
    for one in made:
        head, text = link(head, one)
        sealed.append(text)
    return sealed


def end_of(sealed: Sequence[Sealed]) -> Witness:
    found = decode(sealed[-1].text)
    assert found is not None
    assert found.n is not None
    assert sealed[-1].hash is not None
    return Witness("the witness", Head(found.n, sealed[-1].hash))


def judge(sealed: Sequence[Sealed], *witnesses: Witness) -> ChainVerdict:
    check = ChainCheck("entry", witnesses)
    for one in sealed:
        check.see(one)
    return check.verdict()


@given(entries)
def test_a_chain_is_whole_as_it_was_written(made: list[AuditEntry]) -> None:
    sealed = chain(made)
    verdict = judge(sealed, end_of(sealed))
    assert verdict.whole
    assert (verdict.entries, verdict.first, verdict.last.n) == (len(made), 1, len(made))
    assert [one.isascii() for one in (s.text for s in sealed)] == [True] * len(made)


@given(entries, st.data())
def test_whatever_is_done_to_a_chain_is_noticed(made: list[AuditEntry], data: st.DataObject) -> None:
    sealed = chain(made)
    witness = end_of(sealed)
    tampered = data.draw(st.sampled_from(TAMPERINGS))(list(sealed), data)
    assert not judge(tampered, witness).whole


def remove(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    del sealed[data.draw(st.integers(0, len(sealed) - 1))]
    return sealed


def cut_off(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    return sealed[: data.draw(st.integers(0, len(sealed) - 1))]


def swap(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    place = data.draw(st.integers(0, len(sealed) - 2))
    sealed[place], sealed[place + 1] = sealed[place + 1], sealed[place]
    return sealed


def repeat(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed.insert(data.draw(st.integers(0, len(sealed))), sealed[place])
    return sealed


def edit(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    place = data.draw(st.integers(0, len(sealed) - 1))
    text = sealed[place].text
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[at]))
    sealed[place] = Sealed(text[:at] + other + text[at + 1 :], sealed[place].hash)
    return sealed


def edit_and_seal_again(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    """Somebody who knows the rule, and seals one entry, but not all that follow nor what the witness remembers."""
    place = data.draw(st.integers(0, len(sealed) - 1))
    text = sealed[place].text.replace('"result": "', '"result": "x', 1)
    before = sealed[place - 1].hash if place else ""
    sealed[place] = Sealed(text, seal(before or "", text))
    return sealed


def strip_the_hash(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] = Sealed(sealed[place].text, None)
    return sealed


def make_it_look_old(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    """The first entries as an earlier version wrote them: without number and hash."""
    count = data.draw(st.integers(1, len(sealed)))
    old = [Sealed(found.body, None) for one in sealed[:count] if (found := decode(one.text))]
    return [*old, *sealed[count:]]


def forge_one(sealed: list[Sealed], data: st.DataObject) -> list[Sealed]:
    """An entry of somebody's own between two others, properly linked to the one before it."""
    place = data.draw(st.integers(0, len(sealed) - 1))
    before = Head(place, sealed[place - 1].hash or "") if place else Head()
    sealed.insert(place, link(before, entry("run", "done"))[1])
    return sealed


TAMPERINGS = (
    *(remove, cut_off, swap, repeat, edit, edit_and_seal_again, strip_the_hash),
    *(make_it_look_old, forge_one),
)


# --- what is dropped on purpose ---------------------------------------------------------------------------------------


def some(count: int, action: str = "batch") -> list[AuditEntry]:
    return [entry(action, "done", {"number": n}) for n in range(count)]


def trimmed(sealed: list[Sealed], count: int) -> list[Sealed]:
    words = last_words(sealed[:count])
    return [*sealed[count:], *chain(words, end_of(sealed).head)]


def test_a_trail_whose_oldest_entries_were_dropped_is_whole() -> None:
    sealed = trimmed(chain(some(10)), 4)
    verdict = judge(sealed, end_of(sealed))
    assert verdict.whole
    assert (verdict.first, verdict.last.n) == (5, 11)
    again = trimmed(sealed, 5)
    assert judge(again, end_of(again)).whole


def test_more_than_was_dropped_on_purpose_is_missed() -> None:
    sealed = trimmed(chain(some(10)), 4)
    assert [str(b) for b in judge(sealed[1:]).breaks] == ["entries 1 to 5 are missing"]


def test_the_first_entry_that_is_left_cannot_be_changed() -> None:
    sealed = trimmed(chain(some(10)), 4)
    sealed[0] = Sealed(sealed[0].text.replace("done", "gone"), sealed[0].hash)
    assert any("first one, was changed" in str(b) for b in judge(sealed).breaks)


def test_steps_outlive_what_is_dropped() -> None:
    made = [*some(3, "load"), *some(5)]
    words = last_words(chain(made))
    assert [w.action for w in words] == ["load", "load", "load", TRIM]
    assert [w.details.get("again") for w in words] == [1, 2, 3, None]
    assert words[0].at == made[0].at


# --- what somebody knows of -------------------------------------------------------------------------------------------


def accepted(sealed: list[Sealed], *witnesses: Witness) -> list[Sealed]:
    found: Sequence[str] = [b.words for b in judge(sealed, *witnesses).breaks]
    told: dict[str, Detail] = {"breaks": found}
    head = max((end_of(sealed), *witnesses), key=lambda w: w.head.n).head
    return [*sealed, link(head, entry(ACCEPT, "done", told))[1]]


def test_a_break_that_somebody_knows_of_is_one_no_more() -> None:
    sealed = chain(some(10))
    witness = end_of(sealed)
    del sealed[7:]
    del sealed[3]
    known = accepted(sealed, witness)
    verdict = judge(known, witness, end_of(known))
    assert verdict.whole
    assert [b.words for b in verdict.accepted] == ["entry 4 is missing", "entries 8 to 10 are missing"]


def test_who_knows_of_a_break_does_not_know_of_the_next_one_in_its_place() -> None:
    sealed = chain(some(5))
    sealed[2] = Sealed(sealed[2].text.replace("done", "gone"), sealed[2].hash)
    known = accepted(sealed)
    assert judge(known).whole
    known[2] = Sealed(known[2].text.replace("gone", "went"), known[2].hash)
    assert not judge(known).whole


@pytest.mark.parametrize("text", ["", "[]", "5", '{"n": 1}', '{"n": "1", "at": 1}', "[" * 100_000, "\udcff"])
def test_what_is_no_entry_is_told_and_hides_nothing(text: str) -> None:
    sealed = chain(some(3))
    sealed.insert(1, Sealed(text, None))
    verdict = judge(sealed)
    assert [str(b)[:42] for b in verdict.breaks] == ["what stands after entry 1 is no sealed ent"]
