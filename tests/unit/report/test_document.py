"""The document: what is told of facts, within which bounds, and what is never told."""

import json
from dataclasses import replace

from made_facts import NOW, comparison, entry, facts, held, status

from cdc.notes.final_note import Dump, FinalNote
from cdc.postgres.record.rehearsals import PastRehearsal
from cdc.report.differences import find_differences
from cdc.report.document import MOST_KEYS, make_document
from cdc.report.facts import AuditFacts, KeptFacts, RowsFacts, RowsInBoth
from cdc.report.page import make_page
from cdc.report.seal import canonical
from cdc.report.timeline import FIRST_LINES, LAST_LINES, make_timeline


def test_the_same_facts_make_the_same_document_and_it_is_json() -> None:
    assert canonical(make_document(facts())) == canonical(make_document(facts()))
    assert json.loads(canonical(make_document(facts())))["form"] == 1


def test_of_held_rows_only_keys_are_told_and_not_all_of_them() -> None:
    rows = (*(held("t", n) for n in range(MOST_KEYS + 5)), held("t", "x" * 500, "op@host"))
    told = make_document(facts(kept=KeptFacts(quarantine=rows)))["quarantine"]
    assert (told["rows"], told["acknowledged"]) == (MOST_KEYS + 6, 1)
    unknown, known = sorted(told["causes"], key=lambda cause: cause["rows"], reverse=True)
    assert (len(unknown["keys"]), unknown["more_keys"], unknown["acknowledged_by"]) == (MOST_KEYS, 5, None)
    assert known["acknowledged_by"] == "op@host"
    assert len(known["keys"][0]) < 200
    assert "a secret of the row" not in canonical(told)


def test_passwords_and_what_cannot_be_seen_are_not_told_as_they_are() -> None:
    nasty = "postgresql://bot:hunter2@host/app \u202e\x1b[31m\udc80"
    told = canonical(make_document(facts(audit=AuditFacts((entry(1, "load", reason=nasty),)))))
    assert "hunter2" not in told
    assert "***" in told
    assert "\\\\u202e" in told  # as words: the backslash is one of JSON's
    assert "\\u202e" not in told.replace("\\\\u202e", "")


def test_what_does_not_add_up_comes_first() -> None:
    rows = (RowsInBoth("large", "large", 900, 900, 0), RowsInBoth("small", "small", 3, 1, 1))
    told = make_document(facts(rows=RowsFacts(rows, one_position=True)))["rows"]
    assert [(t["table"], t["adds_up"]) for t in told["tables"]] == [("small", False), ("large", True)]
    told = make_document(facts(rows=RowsFacts(rows)))["rows"]
    assert {t["adds_up"] for t in told["tables"]} == {None}


def test_a_difference_ends_with_the_first_comparison_that_found_its_tables_equal() -> None:
    comparisons = (  # the newest first
        comparison(1, "different", "u", extra=1),
        comparison(2, "equal", "t", "u"),
        comparison(3, "equal", "u"),
        comparison(4, "different", "t", missing=2),
    )
    entries = [entry(3.5, "repair rows", "started", table="t", added=2), entry(1.5, "repair rows", table="t", added=9)]
    first, second = find_differences(comparisons, entries)
    assert (first.ended, first.repaired) == (comparisons[1], 2)
    assert first.ending == "2 rows repaired; compared again and equal"
    assert second.ended is None
    told = make_document(facts(kept=KeptFacts(comparisons), audit=AuditFacts(tuple(entries))))["differences"]
    assert (told["open"], [d["open"] for d in told["found"]]) == (1, [False, True])


def test_downtime_is_what_every_try_refused_also_one_that_was_undone() -> None:
    tries = (
        entry(3, "switch", "started", to="postgres", run="a"),
        entry(3, "switch", "failed", to="postgres", run="a", refused_seconds=0.5, step="drain"),
        entry(2, "switch", to="postgres", run="b", refused_seconds=0.25),
    )
    told = make_document(facts(audit=AuditFacts(tries)))["downtime"]
    assert told["refused_seconds"] == 0.75
    assert [t["result"] for t in told["switches"]] == ["failed", "done"]


def test_what_repeats_is_one_line_of_the_timeline_with_its_count() -> None:
    entries = [
        entry(9, "run", "started"),
        entry(7, "run"),
        entry(6, "run", "started"),
        entry(5, "switch", "started", run="a"),
        entry(4, "switch", run="a"),
        entry(3, "quarantine", table="t", rows=2),
        entry(2, "quarantine", table="t", rows=3),
        entry(1, "run", "failed", reason="no disk"),
    ]
    batches = [(entry(hours, "batch").at, 10) for hours in (8.5, 8, 2.5)]
    told = make_timeline(entries, batches)
    assert [(line.action, line.result) for line in told.first] == [
        ("follow", "done"),
        ("switch", "done"),
        ("quarantine", "done"),
        ("follow", "done"),
        ("quarantine", "done"),
        ("run", "failed"),
    ]
    assert told.first[0].text == "started 2 times; 20 changes applied in 2 batches"
    assert told.entries == len(entries) + len(batches)
    folded = make_timeline(entries[5:7], [])
    assert folded.first[0].text == "2 times, 5 rows in all; the last: table t, rows 3"


def test_a_long_story_tells_of_steps_and_sums_up_the_rest() -> None:
    entries = [entry(9 - n / 1000, "quarantine", table=str(n), rows=1) for n in range(FIRST_LINES + LAST_LINES + 1)]
    told = make_timeline([*entries, entry(1, "verify", result="equal")], [(entries[0].at, 4)])
    assert [line.action for line in told.first] == ["follow", "verify"]
    assert told.first[0].text == "4 changes applied in 1 batch; 401 entries about rows that are held"
    assert told.left_out == 0


def test_of_a_long_story_the_middle_is_left_out_and_counted() -> None:
    lines = FIRST_LINES + LAST_LINES
    entries = [entry(9 - n / 1000, "flip", flag=str(n), table=str(n)) for n in range(lines + 7)]
    told = make_timeline(entries, [])
    assert (len(told.first), told.left_out, len(told.last)) == (FIRST_LINES, 7, LAST_LINES)
    assert told.last[-1].words.endswith(f"table {lines + 6}")


def test_what_the_way_back_ended_with_is_told() -> None:
    end = FinalNote("/a.db", "id", "public", "2026-11-27", "op", "s", "ef" * 32, 2, dump=Dump("d.dump", 9, "ab" * 32))
    document = make_document(facts(status=replace(status(), final=end)))
    assert document["final"]["dump"] == {"file": "d.dump", "bytes": 9, "sha256": "ab" * 32}
    assert "d.dump" in make_page(document)


def test_a_rehearsal_is_told_with_what_it_refused() -> None:
    made = PastRehearsal(NOW, NOW, 3, 0, "passed", {"cutover": [0.1, 0.3, 0.2], "rollback": []})
    document = make_document(facts(kept=KeptFacts(rehearsals=(made,))))
    (told,) = document["rehearsals"][0]["refused"]
    assert told == {"command": "cutover", "median_seconds": 0.2, "most_seconds": 0.3}
    assert "median 0.20 s, at most 0.30 s" in make_page(document)


def test_a_move_of_which_postgres_tells_nothing_is_told_all_the_same() -> None:
    away = make_document(facts(kept=None, kept_error="Postgres cannot be reached", rows=RowsFacts()))
    assert away["move"]["postgres_error"] == "Postgres cannot be reached"
    assert away["timeline"]["entries"] == 1
    assert replace(facts(), kept=None).kept is None
