-- The tables that the application makes for itself in Postgres, with the view that it reads and its triggers. Left on,
-- the triggers would bend every replicated row; `cdc` disables them while it follows the SQLite file.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE content (
    video_id            text PRIMARY KEY,
    id                  text UNIQUE,
    title               text,
    channel_name        text,
    published_at        timestamptz,
    indexed_at          timestamptz,
    duration_seconds    integer,
    thumbnail_url       text,
    canonical_url       text,
    subcategories_json  jsonb,
    topics_json         jsonb,
    analysis_json       jsonb,
    has_audio           boolean DEFAULT false,
    summary_type_latest text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX content_subcategories ON content USING gin (subcategories_json);
CREATE INDEX content_topics ON content USING gin (topics_json);
CREATE INDEX content_analysis ON content USING gin (analysis_json);
CREATE INDEX content_title ON content USING gin (title gin_trgm_ops);
CREATE INDEX content_summary_type ON content (summary_type_latest);

CREATE TABLE content_summaries (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id     text NOT NULL REFERENCES content ON DELETE CASCADE,
    variant      text NOT NULL,
    summary_type text,
    text         text,
    html         text,
    revision     integer NOT NULL DEFAULT 1,
    is_latest    boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (video_id, variant, revision)
);
CREATE INDEX summaries_type ON content_summaries (summary_type);

-- What the dashboard reads: of each video's summaries the latest of every variant that can be shown.
CREATE VIEW latest_summaries AS
    SELECT video_id, variant, summary_type, text, html, revision, created_at
    FROM content_summaries
    WHERE is_latest AND html IS NOT NULL;

CREATE FUNCTION note_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER content_updated BEFORE UPDATE ON content FOR EACH ROW EXECUTE FUNCTION note_update();
CREATE TRIGGER summaries_updated BEFORE UPDATE ON content_summaries FOR EACH ROW EXECUTE FUNCTION note_update();

-- Nothing else marks a new summary: the column's default is false.
CREATE FUNCTION mark_latest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE content_summaries SET is_latest = false
    WHERE video_id = NEW.video_id AND variant = NEW.variant AND id <> NEW.id AND is_latest;
    NEW.is_latest := true;
    RETURN NEW;
END
$$;
CREATE TRIGGER summaries_latest BEFORE INSERT ON content_summaries FOR EACH ROW EXECUTE FUNCTION mark_latest();
