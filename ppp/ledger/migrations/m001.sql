-- The first schema of the ledger. It is never edited after a release: a test pins its sha256, because `ppp verify`
-- compares the schema of every ledger and snapshot, word for word, with what the migrations create. To change the
-- schema, add a migration.

-- Names that records refer to. Datasette turns the foreign keys into links.

CREATE TABLE packages (
    package TEXT PRIMARY KEY            -- normalized project name
) STRICT;

CREATE TABLE releases (
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    version_key TEXT NOT NULL,          -- sorts as PEP 440 orders versions
    PRIMARY KEY (package, version)
) STRICT;

CREATE TABLE environments (
    environment TEXT PRIMARY KEY,       -- such as py312-alpine
    python TEXT NOT NULL,               -- such as 3.12
    platform TEXT NOT NULL,             -- slim, alpine or host
    python_key INTEGER NOT NULL         -- such as 312: sorts Python versions
) STRICT;

CREATE TABLE nodes (
    node TEXT PRIMARY KEY               -- an Ed25519 public key, in hex
) STRICT;

-- Observations. Rows are only ever added to `logs` and `records`.

CREATE TABLE logs (
    log_sha256 TEXT PRIMARY KEY,
    log TEXT NOT NULL
) STRICT;

CREATE TABLE records (
    record TEXT PRIMARY KEY,            -- sha256 of the record's canonical JSON
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments(environment),
    result TEXT NOT NULL CHECK (result IN ('PASS','FAIL','TIMEOUT','ERROR','NA')),
    phase_download TEXT NOT NULL, phase_nodeps TEXT NOT NULL, phase_full TEXT NOT NULL, phase_import TEXT NOT NULL,
    observed_at INTEGER NOT NULL,       -- epoch seconds, UTC
    node TEXT NOT NULL REFERENCES nodes(node),
    arch TEXT NOT NULL,
    python TEXT,                        -- full version of the interpreter
    image_digest TEXT,
    standin INTEGER NOT NULL CHECK (standin IN (0, 1)),
    network TEXT NOT NULL,
    pip_version TEXT NOT NULL,
    filename TEXT, file_sha256 TEXT, file_size INTEGER,
    imports TEXT NOT NULL,              -- JSON array of module names
    installed TEXT NOT NULL,            -- JSON array of [name, version, sha256]
    download_ms INTEGER, nodeps_ms INTEGER, full_ms INTEGER, import_ms INTEGER,
    download_bytes INTEGER, nodeps_bytes INTEGER, full_bytes INTEGER, import_bytes INTEGER,
    grounds TEXT NOT NULL,              -- JSON object by phase: why a phase that passed needed no run of its own
    cause TEXT, blame TEXT, detail TEXT,
    log_sha256 TEXT REFERENCES logs(log_sha256),
    FOREIGN KEY (package, version) REFERENCES releases(package, version)
) STRICT;
CREATE INDEX records_by_cell ON records (package, version, environment);
CREATE INDEX records_by_time ON records (observed_at, record);

CREATE TABLE results (                  -- the current record of each cell
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments(environment),
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (package, version, environment)
) STRICT;

CREATE TABLE batches (                  -- records that a node signed together
    batch TEXT PRIMARY KEY,             -- sha256 of the batch file
    node TEXT NOT NULL REFERENCES nodes(node),
    signature TEXT NOT NULL,            -- Ed25519 over the batch file, in hex
    records INTEGER NOT NULL,
    first_observed_at INTEGER NOT NULL,
    last_observed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE batch_files (              -- the batch files as they are published
    batch TEXT PRIMARY KEY REFERENCES batches(batch),
    packed BLOB NOT NULL                -- gzip of the bytes that were signed
) STRICT;

CREATE TABLE batch_records (
    batch TEXT NOT NULL REFERENCES batches(batch),
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (batch, record)
) STRICT;
CREATE INDEX batch_records_by_record ON batch_records (record);

-- Work of this node: cells to check, records that a canary has not confirmed yet, re-checks, what was skipped.

CREATE TABLE queue (
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,
    source TEXT NOT NULL,               -- feed, watchlist, requirements or named
    enqueued_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,        -- how often it resulted in ERROR
    not_before INTEGER NOT NULL DEFAULT 0,      -- epoch seconds: when it may be tried again
    lease TEXT, leased_until INTEGER,   -- the run that works on it, and until when it may
    PRIMARY KEY (package, version, environment),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
) STRICT;
CREATE INDEX queue_in_turn ON queue (attempts, source <> 'named', enqueued_at);

CREATE TABLE pending (                  -- records that wait for the canary's result: never published
    record TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    document TEXT NOT NULL,             -- the record's canonical JSON
    log TEXT,
    source TEXT, attempts INTEGER,      -- as the cell was queued; NULL if it was not
    first TEXT, reason TEXT,            -- if it is a re-check: the first record, and why it was re-checked
    staged_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_by_environment ON pending (environment);

CREATE TABLE rechecks (                 -- cells that this node checked twice, to measure its own flakiness
    first TEXT NOT NULL REFERENCES records(record),
    second TEXT NOT NULL REFERENCES records(record),
    reason TEXT NOT NULL CHECK (reason IN ('confirmation', 'aa')),
    PRIMARY KEY (first, second)
) STRICT;

CREATE TABLE skips (                    -- releases that were named and not tested
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,          -- '': in no environment
    reason TEXT NOT NULL,
    skipped_at INTEGER NOT NULL,
    PRIMARY KEY (package, version, environment)
) STRICT;

CREATE TABLE sources (                  -- feeds: what the next conditional GET needs
    source TEXT PRIMARY KEY,            -- sha256 of the feed's address
    etag TEXT, last_modified TEXT,
    fetched_at INTEGER NOT NULL,
    releases INTEGER NOT NULL
) STRICT;

-- The mesh: what this node signed, whom it follows, and evidence against other nodes.

CREATE TABLE statements (               -- the chain of statements that this node signed
    sequence INTEGER PRIMARY KEY,
    statement TEXT NOT NULL,            -- the signed envelope, as published
    digest TEXT NOT NULL                -- sha256 of the signed part
) STRICT;

CREATE TABLE peers (
    node TEXT PRIMARY KEY,              -- the pinned Ed25519 public key, in hex
    url TEXT NOT NULL UNIQUE,
    added_at INTEGER NOT NULL,
    sequence INTEGER, digest TEXT, statement TEXT,      -- of the newest statement that was accepted
    synced_at INTEGER,
    sync_error TEXT                     -- why the last sync failed; NULL if it succeeded
) STRICT;

CREATE TABLE forks (                    -- different statements that a node signed under one sequence number
    node TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    digest TEXT NOT NULL,
    statement TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (node, sequence, digest)
) STRICT;

CREATE TABLE episodes (
    period TEXT PRIMARY KEY,            -- the UTC day that the episode is about, such as 2026-11-20
    seed INTEGER NOT NULL,
    writer TEXT NOT NULL,               -- 'seeded', or the model file's name and sha256
    facts TEXT NOT NULL,                -- JSON: each fact with the SQL that selects it
    script TEXT NOT NULL                -- JSON: the sentences, each with its pattern and its fact
) STRICT;

-- Current results.

CREATE VIEW current AS                  -- the current record of each cell
    SELECT c.*, s.version_key, e.platform, e.python AS environment_python, e.python_key
    FROM results AS r
    -- Joined by the whole cell, so that an index of either table can be used.
    JOIN records AS c ON c.record = r.record AND c.package = r.package AND c.version = r.version
                     AND c.environment = r.environment
    JOIN releases AS s ON s.package = c.package AND s.version = c.version
    JOIN environments AS e ON e.environment = c.environment;

-- This view and `ppp.model.blame.assign_blame` state one rule, in SQL and in Python; a property test compares them.
-- A CROSS JOIN keeps the order of the tables: from the few cells of one release to the rest, each by an index, whatever
-- the statistics say.
CREATE VIEW judged AS                   -- `current`, with the blame corrected by the other cells of the release
    SELECT record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import,
           observed_at, node, arch, python, image_digest, standin, network, pip_version, filename, file_sha256,
           file_size, imports, installed, download_ms, nodeps_ms, full_ms, import_ms, download_bytes, nodeps_bytes,
           full_bytes, import_bytes, grounds, cause, detail, log_sha256, version_key, platform, environment_python,
           python_key,
           coalesce(siblings_blame, blame) AS blame,
           CASE WHEN siblings_blame IS NOT NULL THEN 'siblings' WHEN blame IS NOT NULL THEN 'log' END AS blamed_by
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
            -- All cells of the release fail, with the same cause.
            WHEN EXISTS (
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

CREATE VIEW newest AS                   -- the newest release of each package that has a result
    SELECT package, version FROM (
        SELECT s.package, s.version,
               row_number() OVER (PARTITION BY s.package ORDER BY s.version_key DESC) AS place
        FROM releases AS s
        WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.package = s.package AND r.version = s.version))
    WHERE place = 1;

CREATE VIEW matrix AS                   -- the newest release of each package, with its results by environment
    SELECT n.package, n.version,
           -- A JSON object, because the columns of a view cannot follow the environments in the data.
           (SELECT json_group_object(environment, result)
            FROM (SELECT r.environment, c.result
                  FROM results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
                  WHERE r.package = n.package AND r.version = n.version
                    AND c.record = r.record AND e.environment = r.environment
                  ORDER BY CASE e.platform WHEN 'slim' THEN 0 WHEN 'alpine' THEN 1 ELSE 2 END, e.python_key,
                           r.environment)) AS results
    FROM newest AS n;

-- Findings: what several cells show together.

CREATE VIEW failures AS                 -- current results that are FAIL or TIMEOUT, from `judged`
    SELECT package, version, environment, result, cause, blame, blamed_by, detail, observed_at, record,
           version_key, platform, environment_python, python_key
    FROM judged WHERE result IN ('FAIL', 'TIMEOUT');

CREATE VIEW alpine_only AS              -- fails on Alpine, passes on slim with the same Python
    SELECT a.package, a.version, a.environment, a.environment_python AS python,
           a.cause, a.blame, a.detail, a.record
    FROM judged AS a
    JOIN current AS s ON s.package = a.package AND s.version = a.version AND s.python_key = a.python_key
    WHERE a.platform = 'alpine' AND a.result = 'FAIL' AND s.platform = 'slim' AND s.result = 'PASS';

CREATE VIEW python_regressions AS       -- fails on a newer Python than it passes on, on the same platform
    SELECT f.package, f.version, f.environment AS fails_in,
           (SELECT p.environment FROM current AS p
            WHERE p.package = f.package AND p.version = f.version AND p.platform = f.platform
              AND p.result = 'PASS' AND p.python_key < f.python_key
            ORDER BY p.python_key DESC LIMIT 1) AS passes_in,
           f.cause, f.blame, f.detail, f.record
    FROM judged AS f
    WHERE f.result = 'FAIL' AND passes_in IS NOT NULL;

CREATE VIEW phantom_successes AS        -- installs, but does not import
    SELECT package, version, environment, cause, blame, detail, record
    FROM judged WHERE phase_full = 'PASS' AND phase_import = 'FAIL';

CREATE VIEW newly_broken AS             -- the newest release fails where the one before it passed; ERROR is ignored
    SELECT f.package, f.version, f.environment, p.version AS version_before, f.result, f.cause, f.blame, f.detail,
           f.observed_at, f.record
    FROM (SELECT *, (SELECT r.record
                     FROM results AS r CROSS JOIN records AS c CROSS JOIN releases AS s
                     WHERE r.package = failures.package AND r.environment = failures.environment
                       AND c.record = r.record AND s.package = r.package AND s.version = r.version
                       AND c.result <> 'ERROR' AND s.version_key < failures.version_key
                     ORDER BY s.version_key DESC LIMIT 1) AS before
          FROM failures) AS f
    JOIN records AS p ON p.record = f.before
    WHERE p.result = 'PASS' AND NOT EXISTS (
        SELECT 1 FROM results AS r CROSS JOIN records AS c CROSS JOIN releases AS s
        WHERE r.package = f.package AND r.environment = f.environment
          AND c.record = r.record AND s.package = r.package AND s.version = r.version
          AND c.result <> 'ERROR' AND s.version_key > f.version_key);

CREATE VIEW never_on_alpine AS          -- no version that was checked on Alpine installs there; one passes on slim
    SELECT p.package, max(c.observed_at) AS last_observed_at, count(DISTINCT c.version) AS versions
    FROM packages AS p CROSS JOIN results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
    WHERE r.package = p.package AND c.record = r.record AND e.environment = r.environment
      AND e.platform = 'alpine' AND c.result <> 'ERROR'
      AND NOT EXISTS (
        SELECT 1 FROM results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
        WHERE r.package = p.package AND c.record = r.record AND e.environment = r.environment
          AND e.platform = 'alpine' AND c.result <> 'ERROR' AND c.phase_full = 'PASS')
      AND EXISTS (
        SELECT 1 FROM results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
        WHERE r.package = p.package AND c.record = r.record AND e.environment = r.environment
          AND e.platform = 'slim' AND c.result = 'PASS')
    GROUP BY p.package;

CREATE VIEW disagreements AS            -- cells in which nodes had different results; ERROR is ignored
    SELECT package, version, environment, count(DISTINCT node) AS nodes, group_concat(DISTINCT result) AS results
    FROM records
    WHERE result <> 'ERROR' AND (package, version, environment) IN (
        SELECT package, version, environment FROM records WHERE result IN ('FAIL', 'TIMEOUT', 'NA'))
    GROUP BY package, version, environment
    HAVING count(DISTINCT result) > 1 AND count(DISTINCT node) > 1;

-- Bookkeeping.

CREATE VIEW coverage AS                 -- by UTC day: what was checked, with which results, and what was skipped
    SELECT day, sum(records) AS records, sum(releases) AS releases, sum(packages) AS packages, sum(passed) AS passed,
           sum(failed) AS failed, sum(timed_out) AS timed_out, sum(errors) AS errors, sum(not_claimed) AS not_claimed,
           sum(skipped) AS skipped
    FROM (SELECT date(observed_at, 'unixepoch') AS day, count(*) AS records,
                 count(DISTINCT package || ' ' || version) AS releases, count(DISTINCT package) AS packages,
                 sum(result = 'PASS') AS passed, sum(result = 'FAIL') AS failed, sum(result = 'TIMEOUT') AS timed_out,
                 sum(result = 'ERROR') AS errors, sum(result = 'NA') AS not_claimed, 0 AS skipped
          FROM records GROUP BY 1
          UNION ALL
          SELECT date(skipped_at, 'unixepoch'), 0, 0, 0, 0, 0, 0, 0, 0, count(*) FROM skips GROUP BY 1)
    GROUP BY day;

CREATE VIEW flakiness AS                -- re-checks whose result differs from the first one, by UTC day
    SELECT date(b.observed_at, 'unixepoch') AS day, p.reason, count(*) AS pairs,
           sum(a.result <> b.result) AS other_result,
           sum(a.result = b.result AND a.cause IS NOT b.cause) AS other_cause
    FROM rechecks AS p JOIN records AS a ON a.record = p.first JOIN records AS b ON b.record = p.second
    GROUP BY day, p.reason;

CREATE VIEW given_up AS                 -- queued cells that failed with ERROR too often; naming one tries it again
    SELECT package, version, environment, source, attempts FROM queue WHERE attempts >= 3;
