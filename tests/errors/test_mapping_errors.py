"""A mapping that cannot work is refused before anything is written, and the section to correct is named."""

import sys

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

# Without capture `cdc snapshot` would write to the application's file; it must look first.
COMMANDS = (["plan"], ["schema", "--print"], ["snapshot"])


def refused_everywhere(site: Installation, template: str) -> None:
    """Every command of the first phases says the same."""
    for command in COMMANDS:
        refused(site, command, template, ExitCode.CONFIG)


def remedy_of(site: Installation) -> str:
    return site.run("plan")[2].partition("remedy: ")[2].strip()


def accepted(site: Installation) -> bool:
    return site.run("plan")[0] != ExitCode.CONFIG


# --- types that are read in a way that is none for them ---------------------------------------------------------------


def test_a_way_of_reading_that_a_type_cannot_have(cut_off: Installation) -> None:
    for line in ('real = "uuid"', 'uuid = "round"', 'timestamp = ["auto utc", "cut"]', 'time = "iso utc"'):
        cut_off.configure(f"[formats]\n{line}")
        refused_everywhere(cut_off, "[formats]: values of type {name} cannot be read in that way, for it {problem}")
    assert "choose for `time`" in remedy_of(cut_off)
    cut_off.configure('[formats]\nreal = "round"\ntimestamp = ["auto utc", "round"]\ndate = "cut"\ntime = "round"')
    assert accepted(cut_off)


# --- what is named and is not there -----------------------------------------------------------------------------------


def test_a_section_for_a_table_that_is_not_there(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE videos(id INTEGER PRIMARY KEY)")
    cut_off.configure("[tables.vidoes]")
    refused(cut_off, ["snapshot"], "[tables.{name}]: there is no such table in the SQLite file", ExitCode.CONFIG)
    refused(cut_off, ["plan"], "[tables.{name}]: there is no such table in the SQLite file", ExitCode.CONFIG)
    assert "did you mean `videos`?" in remedy_of(cut_off)


def test_a_table_to_replicate_that_is_not_there(cut_off: Installation) -> None:
    cut_off.configure("[replicate]\ntables = ['T', 'nope']")
    refused(
        cut_off,
        ["snapshot"],
        "`tables` in [replicate] names {name}, and there is no such table in the SQLite file",
        ExitCode.CONFIG,
    )
    cut_off.configure("[replicate]\ntables = ['T', 'nope*', 'no[pq]e', 'nop?']")
    assert accepted(cut_off)


def test_a_table_to_leave_out_that_would_be_copied_because_its_name_is_misspelt(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE photos(id INTEGER PRIMARY KEY)")
    cut_off.configure("[replicate]\nexclude = ['phtos']")
    refused_everywhere(cut_off, "`exclude` in [replicate] names {name}, and there is no such table in the SQLite file")
    assert "did you mean `photos`?" in remedy_of(cut_off)
    cut_off.configure("[replicate]\nexclude = ['photos']")
    assert accepted(cut_off)
    cut_off.configure("[replicate]\nexclude = ['photo?', 'photo']")  # its near one is left out, and cannot slip through
    assert accepted(cut_off)


def test_a_column_to_skip_whose_name_is_nearly_that_of_another(cut_off: Installation) -> None:
    cut_off.sql("ALTER TABLE t ADD COLUMN title")
    cut_off.configure("[tables.t]\nskip = ['titel']")
    refused(cut_off, ["plan"], "[tables.{name}] skips {name}, which is no column of that table", ExitCode.CONFIG)
    assert "did you mean `title`?" in remedy_of(cut_off)


def test_a_column_to_skip_that_only_other_files_have(cut_off: Installation) -> None:
    cut_off.configure("[tables.t]\nskip = ['w']")
    code, out, _ = cut_off.run("plan", "--all")
    assert (code, "t.w: `skip` names it, and the table has no such column" in out) == (ExitCode.OK, True)


def test_options_for_a_column_that_is_not_there(cut_off: Installation) -> None:
    cut_off.sql("ALTER TABLE t ADD COLUMN title")
    cut_off.configure("[tables.t.columns.titel]\ntype = 'text'")
    refused(cut_off, ["plan"], "[tables.{name}.columns.{name}]: the table has no such column", ExitCode.CONFIG)
    assert "did you mean `title`?" in remedy_of(cut_off)


def test_a_reading_that_the_type_cannot_have(cut_off: Installation) -> None:
    cut_off.sql("ALTER TABLE t ADD COLUMN at TEXT")
    cut_off.configure("[tables.t.columns.at]\nformat = 'epoch ms'\ntype = 'text'")
    refused_everywhere(cut_off, "{section}: its values cannot be read in that way, for type {type} {problem}")
    cut_off.configure("[tables.t.columns.at]\nformat = 'epoch ms'")
    assert accepted(cut_off)


def test_a_key_in_postgres_that_is_no_column_there(cut_off: Installation) -> None:
    cut_off.sql("ALTER TABLE t ADD COLUMN title")
    cut_off.configure("[tables.t]\ntarget_key = ['titel']")
    refused_everywhere(
        cut_off, "[tables.{table}]: `target_key` names {name}, which is none of the table's columns in Postgres"
    )
    assert "did you mean `title`?" in remedy_of(cut_off)
    cut_off.configure("[tables.t]\ntarget_key = ['title']")
    assert accepted(cut_off)


# --- foreign keys of the operator -------------------------------------------------------------------------------------


def with_reference(site: Installation, column: str, table: str, *more: str) -> None:
    site.configure("[[tables.t.references]]", f"columns = ['{column}']", f"table = '{table}'", *more)


def test_a_reference_of_a_column_that_is_not_there(cut_off: Installation) -> None:
    with_reference(cut_off, "nope", "t")
    refused_everywhere(cut_off, "{section}: `columns` names {name}, which is none of the table's columns in Postgres")


def test_a_reference_to_a_table_that_is_not_there(cut_off: Installation) -> None:
    with_reference(cut_off, "v", "tt")
    refused_everywhere(cut_off, "{section}: there is no table {parent} that is replicated and made here")
    assert "did you mean `t`?" in remedy_of(cut_off)


def test_a_reference_to_a_key_of_another_type(cut_off: Installation) -> None:
    with_reference(cut_off, "v", "t")
    refused_everywhere(
        cut_off, "{section}: columns of type {ours} cannot refer to the key of {parent}, which is {theirs}"
    )
    with_reference(cut_off, "id", "t", "on_delete = 'cascade'")
    assert accepted(cut_off)


def test_a_reference_of_a_table_that_others_made(cut_off: Installation) -> None:
    with_reference(cut_off, "id", "t", "[tables.t]", "adopt = true")
    refused(cut_off, ["snapshot"], "{section}: the table was made by others, and gets no foreign keys", ExitCode.CONFIG)


# --- JSON Schemas -----------------------------------------------------------------------------------------------------


def with_schema(site: Installation, text: str | bytes, more: str = "") -> None:
    (site.folder / "s.json").write_bytes(text.encode() if isinstance(text, str) else text)
    site.configure(f"[tables.t.columns.v]\nschema = 's.json'\n{more}")


@pytest.mark.parametrize(
    "text", ["{", '{"type": "objekt"}', "[]", '{"$ref": "https://example.org/x"}', '{"$ref": "other.json"}']
)
def test_a_schema_of_documents_that_is_none(cut_off: Installation, text: str) -> None:
    with_schema(cut_off, text)
    refused_everywhere(cut_off, "{section}: {path} is no usable JSON Schema: {reason}")
    with_schema(cut_off, '{"type": "object"}')
    assert accepted(cut_off)


def test_a_schema_of_documents_that_cannot_be_read(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.v]\nschema = 'nowhere.json'")
    refused_everywhere(cut_off, "{section}: `schema` cannot be read from {path}: {reason}")
    with_schema(cut_off, b"\xff")
    refused(cut_off, ["plan"], "{section}: `schema` cannot be read from {path}: {reason}", ExitCode.CONFIG)


def test_a_schema_of_documents_for_a_column_of_another_type(cut_off: Installation) -> None:
    with_schema(cut_off, "{}", "type = 'text'")
    refused_everywhere(cut_off, "{section}: `schema` is for documents, and the column is of type {type}")


def test_a_schema_of_documents_without_the_library_that_checks_it(
    cut_off: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_schema(cut_off, "{}")
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    refused_everywhere(cut_off, "{section}: `schema` needs a library that is not installed")


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_sequence_for_a_column_that_is_no_key(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.v]\nsequence = 'v_seq'")
    template = "{section}: `sequence` is for a number by which the rows are known, and this column is none"
    refused_everywhere(cut_off, template)
    cut_off.configure("[tables.t.columns.v]")
    assert accepted(cut_off)


def test_a_key_that_is_to_be_skipped(cut_off: Installation) -> None:
    cut_off.configure("[tables.t]\nskip = ['ID']")
    refused(cut_off, ["plan"], "[tables.{name}] skips {name}, which identifies the rows", ExitCode.CONFIG)


def test_a_key_that_is_to_be_computed(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.id]\nexpression = 'id + 1'")
    refused(
        cut_off,
        ["plan"],
        "[tables.{name}.columns.{name}]: the column identifies the rows and cannot be computed",
        ExitCode.CONFIG,
    )
    cut_off.configure("[tables.t.columns.id]", "[tables.t.columns.next]\nexpression = 'id + 1'")
    assert accepted(cut_off)


def test_a_key_of_a_type_in_which_keys_could_become_equal(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.id]\ntype = 'jsonb'")
    refused(
        cut_off,
        ["plan"],
        "{section}: the column identifies the rows, and in type {type} different keys could become equal",
        ExitCode.CONFIG,
    )


def test_an_untyped_key_as_a_double(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE u(k PRIMARY KEY NOT NULL)")
    cut_off.configure("[tables.u.columns.k]\ntype = 'float8'")
    refused(
        cut_off,
        ["plan"],
        "{section}: the column identifies the rows, and in type {type} the keys 1 and 1.0 would be equal, which SQLite "
        "keeps apart in it",
        ExitCode.CONFIG,
    )
    cut_off.configure("[tables.u.columns.k]\ntype = 'literal'")
    assert accepted(cut_off)


def test_a_key_of_more_columns_than_postgres_allows(cut_off: Installation) -> None:
    columns = ", ".join(f"c{n}" for n in range(33))
    cut_off.sql(f"CREATE TABLE wide({columns}, PRIMARY KEY(c1))")
    cut_off.configure(f"[tables.wide]\ntarget_key = {columns.split(', ')}")
    refused(
        cut_off, ["snapshot"], "the key of table {table} has {key} columns, and Postgres allows 32", ExitCode.CONFIG
    )
    cut_off.configure("[tables.wide]\ntarget_key = ['c1', 'c2']")
    assert accepted(cut_off)


# --- names and types --------------------------------------------------------------------------------------------------


def test_a_name_that_is_too_long(cut_off: Installation) -> None:
    cut_off.configure(f"[tables.t]\ntarget = '{'x' * 64}'")
    refused_everywhere(cut_off, "the name of {what} is {length} bytes long, and Postgres allows 63")
    cut_off.configure("[tables.t]\ntarget = 'short'")
    assert accepted(cut_off)


def test_a_name_that_is_empty(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.'']\nexpression = '1'")
    refused_everywhere(cut_off, "the name of {what} would be empty in Postgres, which refuses that")
    cut_off.configure("[tables.t.columns.'']\nexpression = '1'\ntarget = 'nameless'")
    assert accepted(cut_off)


@pytest.mark.parametrize("name", ["xmin", "_cdc_gone"])
def test_a_name_that_postgres_keeps_for_itself(cut_off: Installation, name: str) -> None:
    cut_off.configure(f"[tables.t.columns.v]\ntarget = '{name}'")
    refused_everywhere(
        cut_off, "column {target} of table {table} has a name that Postgres or this tool keeps for itself"
    )
    cut_off.configure("[tables.t.columns.v]\ntarget = 'x_min'")
    assert accepted(cut_off)


@pytest.mark.parametrize("section", ["[tables.u]\ntarget = 't'", "[tables.t.columns.v]\ntarget = 'id'"])
def test_two_of_one_name(cut_off: Installation, section: str) -> None:
    cut_off.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    cut_off.configure(section)
    refused_everywhere(cut_off, "two {what} would have the name {name} in Postgres")


def test_what_is_no_type(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.v]\ntype = 'text; DROP TABLE t'")
    refused_everywhere(cut_off, "{section}: `type` cannot be {type}, which is not the name of a type")
    cut_off.configure("[tables.t.columns.v]\ntype = 'numeric(10, 2)'")
    assert accepted(cut_off)


def test_more_columns_than_postgres_allows(cut_off: Installation) -> None:
    names = [f"c{n}" for n in range(1596)]
    cut_off.sql(f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {', '.join(names)})")
    cut_off.configure("[tables.wide.columns.one_more]\nexpression = '1'")
    refused_everywhere(cut_off, "table {table} has {columns} columns, and only 1597 can be replicated to Postgres")
    cut_off.configure(f"[tables.wide]\nskip = {names[:2]}")
    assert accepted(cut_off)


# --- expressions ------------------------------------------------------------------------------------------------------


def test_an_expression_that_is_empty(cut_off: Installation) -> None:
    cut_off.configure("[tables.t.columns.n]\nexpression = ' '")
    refused_everywhere(cut_off, "[tables.{name}.columns.{name}]: `expression` is empty")


def test_an_expression_that_reads_a_table_which_is_not_followed(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT)")
    computed = "[tables.t.columns.name]\nexpression = '(SELECT max(name) FROM names)'"
    cut_off.configure("[replicate]\nexclude = ['names']", computed)
    refused_everywhere(
        cut_off,
        "[tables.{name}]: an `expression` reads table {name}, which is not replicated, so that its changes would go "
        "unseen",
    )
    cut_off.configure("[replicate]\nexclude = []", computed)
    assert accepted(cut_off)


@pytest.mark.parametrize("expression", ["substr(v", "nope + 1", "no_such_function(v)", "count(*)", "v; SELECT 1"])
def test_an_expression_that_sqlite_cannot_compute(cut_off: Installation, expression: str) -> None:
    cut_off.configure(f"[tables.t.columns.n]\nexpression = '{expression}'")
    refused_everywhere(cut_off, "[tables.{name}.columns.{name}]: SQLite cannot compute `expression`: {error}")


# --- one target of several tables -------------------------------------------------------------------------------------


def test_two_tables_for_one_adopted_table_with_nothing_that_tells_their_rows_apart(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    template = "[tables.{table}]: table {target} is fed by {others} as well, and nothing tells their rows apart"
    shared = "adopt = true\ntarget = 'both'\ntarget_key = ['id', 'kind']\n"

    def kinds(t: str, u: str) -> str:
        return "\n".join(
            f'[tables.{name}]\n{shared}[tables.{name}.columns.kind]\nexpression = "{sql}"'
            for name, sql in (("t", t), ("u", u))
        )

    for t, u in (("'a'", "'a'"), ("lower('a')", "upper('b')"), ("1", "'1'"), ("NULL", "NULL")):
        cut_off.configure(kinds(t, u))
        refused_everywhere(cut_off, template)
    cut_off.configure(kinds("'a'", "'b'").replace("'id', 'kind'", "'kind', 'id'", 1))
    refused_everywhere(cut_off, template)
    for t, u in (("'t'", "'u'"), ("'t'", "upper('b')")):  # as the remedy has it
        cut_off.configure(kinds(t, u))
        assert accepted(cut_off)
