"""The closed catalogue of what the audit trail records: every action, what it means, and what its details hold.

Documentation and tests read it: what is recorded anywhere is here, and what is here is documented.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

# Records a step as it happens: the name of an action, and its details by name.
Tell = Callable[..., Awaitable[None]]


class ActionKind(Enum):
    """What an action is about: a `STEP` somebody took, `ROUTINE` of the daemon with rows, or the `TRAIL` itself."""

    STEP = "step"
    ROUTINE = "routine"
    TRAIL = "trail"


@dataclass(frozen=True, slots=True)
class Action:
    """What an action means, and the details that an entry about it may have, by name."""

    kind: ActionKind
    means: str
    details: Mapping[str, str] = field(default_factory=dict)


# What the details of every step may have as well.
STEP_DETAILS: Final = {
    "reason": "why it failed",
    "again": "the number of an entry that was dropped with the oldest ones, and was written again before that",
}


def _step(means: str, **details: str) -> Action:
    return Action(ActionKind.STEP, means, {**details, **STEP_DETAILS})


_TABLE: Final = "the table's name in SQLite"
_KEYS: Final = "their keys as `cdc quarantine list` shows them, 100 in an entry at most, long ones cut"

ACTIONS: Final[Mapping[str, Action]] = {
    "snapshot": _step("a snapshot was taken and proven", snapshot="its name", rows="rows in it"),
    "remove snapshot": _step("an older snapshot was removed, for a newer one was proven", snapshot="its name"),
    "schema": _step("tables were made in Postgres", statements="how many were run"),
    "load": _step(
        "the first copy was made",
        rows="how many Postgres holds then",
        quarantined="how many are in quarantine instead",
        altered="values that became others because `on_invalid` or `empty` says so, by table and column",
    ),
    "resync": _step(
        "`cdc load --resync`, or `cdc up` after `cdc cleanup`",
        tables="how many will be compared as a whole",
        added="rows that Postgres lacked, when it was asked",
        changed="rows that it held otherwise",
        deleted="rows that only Postgres had",
        returning="rows to add that were deleted before: they wait",
    ),
    "accept tombstones": _step(
        "`cdc tombstones accept`",
        table=_TABLE,
        key="the key that was named, as `cdc tombstones` shows it",
        tombstones="how many ended",
        rows="rows that had waited and that the daemon applies",
    ),
    "refuse tombstones": _step(
        "`cdc tombstones refuse`",
        table=_TABLE,
        key="the key that was named, as `cdc tombstones` shows it",
        deleted="rows that were deleted in SQLite, by table, with those that went along",
        snapshot="the copy of the file as it was before",
    ),
    "return from the dead": _step(
        "the application inserted rows again whose keys were deleted lately; they were applied",
        table=_TABLE,
        rows="how many, since it was told last",
    ),
    "take up a file": _step(
        "another file was in the place of the one that was followed, and `on_replaced` says to go on with it",
        why="how that was seen",
        added="rows that Postgres lacked",
        changed="rows that it held otherwise",
        deleted="rows that only Postgres had",
        returning="rows to add that were deleted before: they wait",
    ),
    "run": _step("`cdc run`: `started` when it begins, and once more when it ends"),
    "up": _step("`cdc up`, as `cdc run`"),
    "move": _step("the SQLite file has another path now", before="the path it had", path="the path it has"),
    "reload": _step("the daemon was told to read its configuration again", keys="what had changed"),
    "shadow http": _step(
        "`cdc shadow http`",
        requests="how many were put to both sides",
        endpoints="of how many endpoints",
        verdicts="how many of them came to which verdict",
        not_asked="how many must not be asked, or could not",
    ),
    "shadow proxy": _step(
        "`cdc shadow proxy`: `started` when it begins, and once more when it ends",
        listen="where users reach it",
        baseline="the instance on SQLite",
        candidate="the instance on Postgres",
        requests="how many users put",
        verdicts="how many reads came to which verdict",
        not_compared="how many reads were not compared",
    ),
    "load shadow rules": _step(
        "the proxy compares by these rules from now on, for it began or was told to read its configuration again",
        rules="how many",
        digest="by which the same rules are known again",
    ),
    "hold writes": _step("the proxy has writes wait", active="the side that is served"),
    "release writes": _step(
        "the proxy lets writes go on, or sends all requests to the other side",
        active="the side that is served now",
        before="the side that was served before",
        seconds="for how long writes were held",
        writes="how many waited meanwhile",
    ),
    "verify": _step(
        "`cdc verify`",
        repair="whether rows that differ were to be moved again",
        result="`equal`, `different` or `critical`",
        differences="rows that differ",
        repaired="rows that will be moved again",
        left="rows that only Postgres has and that nobody said to delete",
    ),
    "repair rows": _step(
        "`cdc verify --repair` saved what Postgres has of rows that differ, and logs their keys again now",
        table=_TABLE,
        changed="rows that will become what SQLite has",
        deleted="rows that only Postgres has and that will be deleted",
        added="rows that Postgres lacks",
        keys="their keys as `cdc verify` shows them, 100 at most, long ones cut; the files have them all",
        files="where the rows are as they were, and the keys of those that are added",
    ),
    "find a difference": _step(
        "the comparison that never ends found rows that are not alike",
        table=_TABLE,
        different="rows that Postgres holds otherwise",
        missing="rows that Postgres lacks",
        extra="rows that only Postgres has",
        keys="some of their keys, as `cdc verify` shows them",
        came_back="how many of them were repaired before, null for none",
    ),
    "check a batch": _step(
        "a batch was committed, and rows of a table are not in Postgres as it wrote them",
        table=_TABLE,
        rows="how many",
        reactions="triggers and rules on the table, which may be the reason",
    ),
    "end of a difference": _step("a table whose rows were not alike was compared again, and is equal", table=_TABLE),
    "shadow sql": _step(
        "`cdc shadow sql`; the counts by verdict are in it too",
        queries="how many queries the file has",
        equal="alike",
        noise="SQLite differed from itself",
        ignored="alike by a rule",
        expected="different as the data say",
        different="not alike",
        unstable="alike but for ties that a limit cuts",
        moved="not judged, for something was written all the time",
        failed="without an answer",
        slow="too late",
    ),
    "shadow forget": _step("`cdc shadow report --forget`"),
    "find an altered schema": _step(
        "the daemon found that the target of a table is not as it was made",
        table=_TABLE,
        findings="what it should be and what it is, as `cdc verify` tells it",
    ),
    "end of an altered schema": _step("a target that was altered is as it was made again", table=_TABLE),
    "report": _step(
        "`cdc report`",
        verdict="what it says on its first page",
        document="the SHA-256 of its document, by which `cdc report --verify` knows it again",
        page="that of its page, all before the seal",
        file="the page's name",
    ),
    "restore": _step(
        "`cdc restore`",
        snapshot="its folder",
        to="the file that was written",
        with_changes="whether it was brought forward to what Postgres has",
        rows="with that, how many rows are others than in the snapshot",
    ),
    "cleanup": _step(
        "`cdc cleanup`",
        removed="whether there was something to remove",
        sqlite="how many objects of ours were in the SQLite file",
        postgres="how many things of ours were in Postgres",
        triggers="triggers of Postgres that fire again",
        helper_keys="columns that were added to adopted tables, and are dropped",
    ),
    "free tables": _step(
        "`cdc cleanup --release`: the tables of a source are free for another",
        source="where its file was",
        triggers="triggers of Postgres that fire again",
        helper_keys="columns that were added to adopted tables, and are dropped",
    ),
    "remove legacy files": _step(
        "`cdc cleanup --legacy --apply`: named scripts were removed, with a backup",
        files="their paths",
        manifest="the file that `--undo` needs",
    ),
    "put legacy files back": _step("`cdc cleanup --undo`", manifest="its file", files="the paths that came back"),
    "quarantine retry": _step("`cdc quarantine retry`", table="only this table", rows="how many were logged again"),
    "quarantine acknowledge": _step("`cdc quarantine acknowledge`", table="only this table", rows="how many"),
    "heal the schema cdc": _step("what was gone of the schema `cdc` was made again", lost="what is not known any more"),
    "forget triggers": _step(
        "which triggers replication had disabled is lost; these do not fire now, whoever disabled them",
        triggers="their names and tables",
    ),
    "take up tables": _step(
        "tables whose target fits again, or has other types now, are compared as a whole", tables="their names"
    ),
    "disable triggers": _step("triggers of a target were disabled", table="the target", triggers="their names"),
    "add helper key": _step("a column to find rows by was added to an adopted table", table="the target"),
    "follow a change of the file": _step("the daemon followed a change of the file", reasons="what had changed"),
    "compare after a gap": _step(
        "the changelog did not go on from what was applied last, and the file was surely the same: every table is "
        "compared",
        why="what had happened",
    ),
    "take triggers out": _step(
        "triggers of capture that made the application's writes fail were taken out of the SQLite file",
        triggers="how many",
    ),
    "leave over": _step(
        "a column or table that the application has no longer stays in Postgres, fed no more",
        table="the target",
        column="the column, null for the whole table",
        dropped="constraints and indexes that would refuse rows or stood in the way, as they were",
    ),
    "make way for a type": _step(
        "a column becomes another type, and what stood on it went: it is made again once every row is there",
        table="the target",
        dropped="constraints and indexes, as they were",
    ),
    "take up again": _step(
        "a column or table that was left over is fed again", table="the target", column="null for the whole table"
    ),
    "pause": _step(
        "`cdc pause`",
        release_triggers="whether the triggers were to be taken out",
        triggers="how many were taken out of the SQLite file",
    ),
    "resume": _step("`cdc resume`"),
    "set the flags": _step(
        "the application was told where to read and write: `started` when it began, and once more when it ended",
        reads="where reads go, `sqlite` or `postgres`",
        writes="where writes go",
        before="where both went before, null where the flags did not agree",
    ),
    "flip": _step(
        "one of the flags was set", flag="its kind and what it is", reads="where reads go", writes="where writes go"
    ),
    "prepare cutover": _step("`cdc cutover --prepare`", rows="how many are alike in both"),
    "rehearse": _step(
        "`cdc rehearse`",
        times="how many cutovers and rollbacks of a copy",
        kills="how many switches of it were killed",
        result="`passed`, `refused` or `failed`",
        refused_seconds="for how long nobody accepted writes, the median of the cutovers",
    ),
    "switch": _step(
        "one try of `cdc cutover` or `cdc rollback`: `started` when it began, and once more when it ended",
        to="the side that writes shall go to, `sqlite` or `postgres`",
        run="the name of the try, by which cdc.switch_step has its steps",
        refused_seconds="for how long nobody accepted writes",
        step="the step that failed",
        unsettled="steps that could not be undone, with the reasons",
    ),
    "finalize": _step(
        "`cdc finalize`: `started` when it began, and once more when it ended",
        run="its name, by which cdc.switch_step has its steps",
        rows="how many were alike in both at the end",
        snapshot="the last snapshot",
        snapshot_sha256="the SHA-256 of its database",
        dump="the dump, in the state folder",
        dump_sha256="its SHA-256",
    ),
    "lift the fence": _step("the daemon let applications write to SQLite again, for a switch had ended in its midst"),
    "open Postgres again": _step(
        "the daemon let applications write to Postgres again, for a switch had ended in its midst, or somebody had "
        "enabled all triggers of a table"
    ),
    "note writes again": _step(
        "the daemon notes writes to tables of Postgres again, where triggers were disabled, and carries all of them",
        tables="which",
    ),
    "emergency": _step("`cdc rollback --emergency`", missing="what SQLite lacks of Postgres, in words"),
    "give Postgres up": _step("Postgres follows SQLite again, which was opened without it"),
    "apply pending": _step("`cdc schema --apply-pending`", dropped="what was dropped"),
    "drop leftover": _step(
        "a column or table that was left over was saved and dropped, in the transaction that has this entry",
        table="the target",
        column="the column, null for the whole table",
        rows="how many were saved",
        file="where they are",
    ),
    "make view": _step(
        "a view of SQLite was made, for it answers with the same rows in both databases", view="its name"
    ),
    "leave out view": _step(
        "a view could be translated and was not made", view="its name", why="what its answers, or Postgres, said"
    ),
    "drop view": _step("a view of ours was dropped, for the application has another one or none", view="its name"),
    "leave out index": _step(
        "an index could not be made, or gave way to a row that it has no room for",
        table="the target",
        index="its name",
        why="what Postgres said",
    ),
    "count rows": _step(
        "a heartbeat found a table whose rows in Postgres and in quarantine are not as many as in SQLite",
        table=_TABLE,
        rows="the numbers",
    ),
    "compare whole tables": _step("the daemon compared tables as a whole", tables="their names"),
    "position": _step(
        "replication begins at a position, or goes on from another one; batches follow from it",
        before="the position it had, null for the first",
        seq="the position it has now",
    ),
    "save rows": _step(
        "rows were saved before they were replaced: what a table held before its first copy, or what a comparison that "
        "was asked for takes out of Postgres",
        table="the target",
        kind="`deleted` or `changed` by a comparison",
        rows="how many",
        file="where they are",
    ),
    "broken": _step("the daemon found that a trail does not end as the other one remembers", words="how it does not"),
    "accept": _step("`cdc audit --accept`: somebody knows why the trail is broken", breaks="in words"),
    "trim": Action(
        ActionKind.TRAIL,
        "the oldest entries are dropped, to keep the trail bounded",
        {
            "through": "the number of the newest of them",
            "hash": "its hash, from which the oldest entry that is left follows",
            "at": "when it was written",
            "entries": "how many are dropped",
        },
    ),
    "mend": Action(ActionKind.TRAIL, "a line that a crash cut short was taken away", {"bytes": "how long it was"}),
    "batch": Action(
        ActionKind.ROUTINE,
        "changes were applied, in the transaction that has this entry",
        {
            "after_seq": "the changelog entry before the first one",
            "last_seq": "the last changelog entry",
            "changes": "how many entries that were",
            "lag_seconds": "the age of the oldest of them when it was read, null when unknown",
            "tables": "by source table: rows `upserted` and `deleted` in Postgres, `quarantined` and `released`; "
            "values `altered` because `on_invalid` or `empty` says so",
            "seconds": "from the first look at SQLite to the commit",
        },
    ),
    "quarantine": Action(
        ActionKind.ROUTINE,
        "rows went to quarantine, or are there for another reason now",
        {"table": _TABLE, "reason": "`value`, `orphan`, `constraint` or `limit`", "rows": "how many", "keys": _KEYS},
    ),
    "release": Action(
        ActionKind.ROUTINE,
        "rows left quarantine",
        {"table": _TABLE, "reason": "why they had been there", "rows": "how many", "keys": _KEYS},
    ),
    "acknowledge": Action(
        ActionKind.ROUTINE,
        "somebody marked rows in quarantine as known",
        {"table": _TABLE, "reason": "why they are there", "rows": "how many", "keys": _KEYS},
    ),
}


def is_step(action: str) -> bool:
    """Whether an action is a step that somebody took; what is not known here is taken for one."""
    entry = ACTIONS.get(action)
    return entry is None or entry.kind is ActionKind.STEP
