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

-- Files that several installed distributions own, and blame that runs have shown.

ALTER TABLE records ADD COLUMN shared_files TEXT;   -- JSON object: conflicts, equal, files; left out if there are none

DROP VIEW judged;

-- This view and `ppp.model.blame.assign_blame` state one rule, in SQL and in Python; a property test compares them.
-- A CROSS JOIN keeps the order of the tables: from the few cells of one release to the rest, each by an index, whatever
-- the statistics say.
CREATE VIEW judged AS                   -- `current`, with the blame corrected by the other cells of the release
    SELECT record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import,
           observed_at, node, arch, python, image_digest, standin, network, pip_version, filename, file_sha256,
           file_size, imports, installed, download_ms, nodeps_ms, full_ms, import_ms, download_bytes, nodeps_bytes,
           full_bytes, import_bytes, grounds, cause, detail, log_sha256, preinstalled, relies_on, primary_module,
           import_failures, submodules, entry_points, record_mismatch, yanked, project_status, triggered_by, on_index,
           drift, shared_files, version_key, platform, environment_python, python_key,
           coalesce(siblings_blame, blame) AS blame,
           CASE WHEN siblings_blame IS NOT NULL THEN 'siblings'
                WHEN blame IS NULL THEN NULL
                -- It passed with the index as of another time, or passes today with a bound: runs showed that.
                WHEN drift ->> 'result_then' = 'PASS' OR json_array_length(drift, '$.culprits') > 0 THEN 'runs'
                ELSE 'log' END AS blamed_by
    FROM (
        SELECT c.*, CASE
            -- The log is clear about it.
            WHEN NOT (c.result = 'FAIL'
                      AND coalesce(c.cause, 'unclassified') IN ('build-backend', 'crash', 'exits', 'import-error',
                                                                'module-missing', 'unclassified')
                      AND coalesce(c.blame, 'unknown') IN ('package', 'unknown')) THEN NULL
            -- It passes with the same Python on another platform.
            WHEN EXISTS (
                SELECT 1 FROM results AS r CROSS JOIN records AS s CROSS JOIN environments AS e
                WHERE r.package = c.package AND r.version = c.version AND r.environment <> c.environment
                  AND s.record = r.record AND e.environment = r.environment
                  AND e.python_key = c.python_key AND e.platform <> c.platform AND s.result = 'PASS')
            THEN 'environment'
            -- It passes with another Python on the same platform.
            WHEN EXISTS (
                SELECT 1 FROM results AS r CROSS JOIN records AS s CROSS JOIN environments AS e
                WHERE r.package = c.package AND r.version = c.version AND r.environment <> c.environment
                  AND s.record = r.record AND e.environment = r.environment
                  AND e.python_key <> c.python_key AND e.platform = c.platform AND s.result = 'PASS')
            THEN 'package'
            -- All cells of the release fail, with the same cause, which is known: they all lack the same things.
            WHEN coalesce(c.cause, 'unclassified') <> 'unclassified' AND EXISTS (
                SELECT 1 FROM results AS r CROSS JOIN records AS s CROSS JOIN environments AS e
                WHERE r.package = c.package AND r.version = c.version AND r.environment <> c.environment
                  AND s.record = r.record AND e.environment = r.environment AND s.result NOT IN ('NA', 'ERROR'))
             AND NOT EXISTS (
                SELECT 1 FROM results AS r CROSS JOIN records AS s CROSS JOIN environments AS e
                WHERE r.package = c.package AND r.version = c.version AND r.environment <> c.environment
                  AND s.record = r.record AND e.environment = r.environment AND s.result NOT IN ('NA', 'ERROR')
                  AND NOT (s.result = 'FAIL'
                           AND coalesce(s.cause, 'unclassified') IN ('build-backend', 'crash', 'exits', 'import-error',
                                                                     'module-missing', 'unclassified')
                           AND coalesce(s.blame, 'unknown') IN ('package', 'unknown')
                           AND coalesce(s.cause, 'unclassified') = coalesce(c.cause, 'unclassified')))
            THEN 'package'
        END AS siblings_blame
        FROM current AS c);

-- What a result leaves unsaid. Few records have any of it: the views start from this index, whatever the statistics say.
-- Each condition of it is one of a view's own, word for word; else SQLite would not see that it may use the index.
-- No function of JSON: older versions of SQLite refuse a whole file with such an index where the schema is not trusted.
DROP INDEX records_with_remarks;
CREATE INDEX records_with_remarks ON records (package, version, environment)
    WHERE relies_on IS NOT NULL
       OR import_failures IS NOT NULL
       OR instr(submodules, '"failed":[{') > 0
       OR instr(entry_points, '"broken":[{') > 0
       OR record_mismatch IS NOT NULL
       OR instr(shared_files, '"conflicts":0,') = 0
       OR yanked IS NOT NULL
       OR project_status IS NOT NULL
       OR cause = 'withdrawn'
       OR result || ' ' || phase_import = 'PASS SKIP';       -- one condition: an AND inside an OR is not recognized

CREATE VIEW file_conflicts AS           -- files that several installed distributions own with different contents
    SELECT c.package, c.version, c.environment, c.result, f.value ->> 'path' AS path,
           (SELECT group_concat(o.value, ', ') FROM json_each(f.value, '$.owners') AS o) AS owners,
           f.value ->> 'kept' AS kept, c.shared_files ->> 'conflicts' AS conflicts, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
         CROSS JOIN json_each(c.shared_files, '$.files') AS f
    WHERE instr(c.shared_files, '"conflicts":0,') = 0 AND f.value ->> 'equal' = 0
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

-- Which packages have failed in an environment, without a look at all of their records: few records are in it.
CREATE INDEX records_of_failures ON records (package, environment) WHERE result = 'FAIL';

-- How many results of each kind a span of time has, without a look at its records.
DROP INDEX records_by_time;
CREATE INDEX records_by_time ON records (observed_at, record, result);

-- The releases of a package in their order: the one before is found without a look at all of them.
CREATE INDEX releases_in_order ON releases (package, version_key, version);

-- Which record of a cell is current, found by one look instead of two: without rowids, the primary key is the table.
CREATE TEMP TABLE kept AS SELECT * FROM results;

DROP TABLE results;

CREATE TABLE results (                  -- the current record of each cell
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments(environment),
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (package, version, environment)
) STRICT, WITHOUT ROWID;

INSERT INTO results SELECT * FROM kept ORDER BY package, version, environment;

DROP TABLE kept;
