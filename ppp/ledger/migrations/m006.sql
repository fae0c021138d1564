-- An episode of a night or a week, with what its pages and its sound need to know.

ALTER TABLE episodes RENAME TO episodes_before;

CREATE TABLE episodes (
    period TEXT PRIMARY KEY,            -- the UTC day or the ISO week that the episode is about: 2026-11-28, 2026-W48
    kind TEXT NOT NULL CHECK (kind IN ('night', 'week')),
    starts_at INTEGER NOT NULL,         -- the period in epoch seconds
    ends_at INTEGER NOT NULL,           -- excluded
    title TEXT NOT NULL,
    seed INTEGER NOT NULL,
    writer TEXT NOT NULL,               -- 'seeded', or the model file's name and sha256
    fallback TEXT,                      -- why the model did not write, where one was asked to
    presenters TEXT NOT NULL,           -- JSON: each speaker with a name and a role
    facts TEXT NOT NULL,                -- JSON: each fact with the SQL that selects it
    script TEXT NOT NULL                -- JSON: the sentences, each with its pattern, the ids of its facts, its chapter
) STRICT;

INSERT INTO episodes
    SELECT period, 'night', CAST(strftime('%s', period) AS INTEGER), CAST(strftime('%s', period) AS INTEGER) + 86400,
           'The night of ' || period, seed, writer, NULL,
           '[{"name":"Relay","role":"play-by-play","speaker":"relay"},{"name":"Static","role":"colour","speaker":"static"}]',
           facts,
           (SELECT json_group_array(json_object('chapter', NULL, 'facts', json_array(e.value ->> 'fact'),
                                                'pattern', e.value ->> 'pattern', 'speaker', e.value ->> 'speaker',
                                                'text', e.value ->> 'text'))
            FROM json_each(b.script) AS e)
    FROM episodes_before AS b;

DROP TABLE episodes_before;
