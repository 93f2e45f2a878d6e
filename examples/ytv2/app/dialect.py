"""Where the SQL of the two databases differs, and the mistakes of a port that can be planted there."""

from collections.abc import Collection
from dataclasses import dataclass, replace

# The categories of a video stand in `subcategories_json`; older rows have a list in `category` and one `subcategory`.
_SQLITE_SUBJECTS = """
    WITH document AS (
        SELECT id, subcategory,
            CASE WHEN json_valid(subcategories_json) THEN subcategories_json END AS tree,
            CASE WHEN json_valid(category) THEN category END AS list
        FROM content
    ), subject AS (
        SELECT d.id, json_extract(s.value, '$.category') AS category, json_extract(s.value, '$.subcategories') AS below
        FROM document AS d, json_each(d.tree, '$.categories') AS s
    )
    SELECT id, category, NULL AS subcategory FROM subject
    UNION ALL SELECT s.id, s.category, e.value FROM subject AS s, json_each(s.below) AS e
    UNION ALL SELECT d.id, e.value, d.subcategory FROM document AS d, json_each(d.list) AS e WHERE d.tree IS NULL
"""
_POSTGRES_SUBJECTS = """
    WITH subject AS (
        SELECT c.id, s.value ->> 'category' AS category, s.value -> 'subcategories' AS below
        FROM content AS c, jsonb_array_elements(c.subcategories_json -> 'categories') AS s
    )
    SELECT id, category, NULL AS subcategory FROM subject
    UNION ALL SELECT s.id, s.category, e.value FROM subject AS s, jsonb_array_elements_text(s.below) AS e
    UNION ALL SELECT c.id, e.value, c.subcategory FROM content AS c, jsonb_array_elements_text(c.category) AS e
        WHERE c.subcategories_json IS NULL
"""


@dataclass(frozen=True)
class Dialect:
    """`subjects` selects `id, category, subcategory`; `like` ignores the case of ASCII letters; `listed` is the
    condition of a row `c` to be listed at all.
    """

    subjects: str
    like: str
    unknown_last: str = "NULLS LAST"
    listed: str = "TRUE"


SQLITE = Dialect(subjects=_SQLITE_SUBJECTS, like="LIKE")
POSTGRES = Dialect(subjects=_POSTGRES_SUBJECTS, like="ILIKE")


def planted(dialect: Dialect, plants: Collection[str]) -> Dialect:
    """The dialect with these mistakes in it.

    - `null_order`: Postgres puts NULL first in a descending order, SQLite last
    - `like_case`: LIKE of Postgres minds the case of letters
    - `missing_row`: topics are asked of the column that has only those that are JSON
    """
    if "null_order" in plants:
        dialect = replace(dialect, unknown_last="")
    if "like_case" in plants:
        dialect = replace(dialect, like="LIKE")
    if "missing_row" in plants:
        dialect = replace(dialect, listed="jsonb_typeof(c.topics_json) = 'array'")
    return dialect
