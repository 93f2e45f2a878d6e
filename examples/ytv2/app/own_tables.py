"""The dashboard on the tables that the application makes for itself in Postgres (`adopted.sql`), to be read only.

It asks what it always asks: relations of SQLite's names and columns stand before each statement, made of what these
tables hold. What they do not hold is NULL, or has no rows.
"""

from collections.abc import Sequence

from .backend import Refused, Row, Statement
from .postgres_backend import PostgresBackend

# Columns of SQLite that became members of one document, and categories of a video that has no subcategories.
_AS_ON_SQLITE = """
    WITH content AS (
        SELECT id, video_id, title, channel_name, thumbnail_url, canonical_url, has_audio, duration_seconds,
            {published_at} AS published_at, {indexed_at} AS indexed_at,
            coalesce(subcategories_json, analysis_json) AS subcategories_json,
            NULL::jsonb AS category, NULL::text AS subcategory,
            analysis_json ->> 'content_type' AS content_type, analysis_json ->> 'complexity_level' AS complexity_level,
            analysis_json ->> 'language' AS language, analysis_json ->> 'named_entities' AS named_entities,
            coalesce(topics_json ->> 'raw_text', topics_json::text) AS key_topics,
            (analysis_json ->> 'audio_duration_seconds')::numeric AS audio_duration_seconds,
            (analysis_json ->> 'word_count')::numeric AS word_count,
            (analysis_json -> 'has_transcript')::boolean AS has_transcript,
            NULL::bigint AS view_count, NULL::bigint AS like_count, NULL::text AS processing_status
        FROM public.content
    ), content_summaries AS (
        SELECT c.id AS content_id, s.summary_type, s.text AS summary_text, {created_at} AS created_at
        FROM public.content_summaries AS s JOIN public.content AS c USING (video_id)
        WHERE s.is_latest AND s.html IS NOT NULL
    ), summary_variants AS (
        SELECT NULL AS id, NULL AS video_id, NULL AS variant_type, NULL AS revision, NULL AS content,
            NULL AS created_at, false AS is_latest
        WHERE false
    )
"""


def _moment(column: str) -> str:
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF')"


AS_ON_SQLITE = _AS_ON_SQLITE.format(
    published_at=_moment("published_at"), indexed_at=_moment("indexed_at"), created_at=_moment("s.created_at")
)


class OwnTablesBackend(PostgresBackend):
    """Its answers are those of SQLite, as far as these tables hold what it takes."""

    async def read(self, *statements: Statement) -> list[Sequence[Row]]:
        """The rows of each statement, all of one state of the database."""
        return await super().read(*(Statement(f"{AS_ON_SQLITE} {sql}", values) for sql, values in statements))

    async def write(self, *statements: Statement) -> list[Sequence[Row]]:
        """Refused: what writes there is the application itself, in its own words."""
        raise Refused("the dashboard of this example only reads the application's own tables")
