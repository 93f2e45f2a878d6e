"""A migration that our triggers stand in the way of fails without harm, and what the pages advise gets it through."""

import apsw
import pytest
from installation import Installation

MIGRATION = "BEGIN; DROP INDEX u; ALTER TABLE made DROP COLUMN b; COMMIT"


def test_the_way_round_a_migration_that_drops_an_index_and_its_column_at_once(site: Installation) -> None:
    site.sql("CREATE TABLE made(id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE UNIQUE INDEX u ON made(b)")
    site.sql("INSERT INTO made VALUES (1, 'a', 'b')")
    assert site.run("up", "--until-idle")[0] == 0
    with pytest.raises(apsw.Error, match="after drop column"):
        site.sql(MIGRATION)
    assert site.run("pause", "--release-triggers")[0] == 0
    site.sql(MIGRATION)
    site.sql("INSERT INTO made VALUES (2, 'c')")
    assert site.run("resume")[0] == 0
    assert site.run("run", "--until-idle")[0] == 0
    code, out, _ = site.run("verify")
    assert code == 0, out
