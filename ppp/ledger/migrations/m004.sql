-- Every release that the index names, and what became of it: the journal as it was read, a queue in an order that a policy
-- decides, downloads, and why a cell was checked again.

ALTER TABLE records ADD COLUMN triggered_by TEXT;       -- JSON object: kind, name, version; why the cell was checked again
ALTER TABLE records ADD COLUMN on_index TEXT;   -- JSON object: newest, versions; what the index listed of the project then

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
           version_key,
           platform, environment_python, python_key,
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

-- The journal of the index that this node follows. `source` is the sha256 of its address.

CREATE TABLE journal_cursors (
    source TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,            -- everything up to it is in the tables below
    first_serial INTEGER NOT NULL,      -- where the following began: nothing is claimed about what was before
    target INTEGER,                     -- while an interval is read project by project: where it ends
    started_at INTEGER NOT NULL,
    read_at INTEGER NOT NULL            -- when it was last found to be complete up to `serial`
) STRICT;

CREATE TABLE journal_todo (             -- the projects that are left to read of the interval up to `target`
    source TEXT NOT NULL REFERENCES journal_cursors(source),
    package TEXT NOT NULL,
    serial INTEGER NOT NULL,            -- the project's last serial
    PRIMARY KEY (source, package)
) STRICT;

CREATE TABLE journal_intervals (        -- what was read, one after the other, without overlap
    source TEXT NOT NULL,
    first_serial INTEGER NOT NULL,      -- the first serial after the interval before
    last_serial INTEGER NOT NULL,
    adapter TEXT NOT NULL CHECK (adapter IN ('changelog', 'index')),
    events INTEGER NOT NULL,            -- how many were new
    releases INTEGER NOT NULL,          -- how many were named for the first time
    read_at INTEGER NOT NULL,
    PRIMARY KEY (source, last_serial)
) STRICT;

CREATE TABLE journal_margin (           -- the newest events, so that reading them again changes nothing
    source TEXT NOT NULL REFERENCES journal_cursors(source),
    serial INTEGER NOT NULL,
    event TEXT NOT NULL,                -- package, version, action and file name
    PRIMARY KEY (source, serial, event)
) STRICT, WITHOUT ROWID;

-- `journal_feeds` takes its place.
DROP TABLE sources;

CREATE TABLE journal_feeds (            -- the last reading of a feed, whose entries have no serials
    source TEXT PRIMARY KEY,
    newest_at INTEGER NOT NULL,         -- the newest release that was seen
    releases INTEGER NOT NULL,          -- how many it had, and how many seconds it spanned
    span_s INTEGER NOT NULL,
    etag TEXT, last_modified TEXT,
    read_at INTEGER NOT NULL
) STRICT;

CREATE TABLE journal_gaps (             -- times between two readings of the feed that neither covers
    source TEXT NOT NULL,
    start_at INTEGER NOT NULL,          -- the newest release of the earlier reading
    end_at INTEGER NOT NULL,            -- the oldest release of the later one
    estimate INTEGER NOT NULL,          -- how many releases that may have been, at the pace of both readings
    found_at INTEGER NOT NULL,
    filled_at INTEGER,                  -- when a journal with serials had been read beyond it
    PRIMARY KEY (source, start_at)
) STRICT;

CREATE TABLE journal_events (           -- what else the index said of releases and projects: yanks, removals, quarantines
    source TEXT NOT NULL,
    serial INTEGER NOT NULL,
    package TEXT NOT NULL,
    version TEXT NOT NULL,              -- '': the whole project
    action TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (source, serial, package, version, action)
) STRICT;
CREATE INDEX journal_events_by_time ON journal_events (at);
CREATE INDEX journal_events_by_package ON journal_events (package, version);

CREATE TABLE journal_releases (         -- every release that was named
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    serial INTEGER,                     -- of its first event; NULL while only the feed has named it
    announced_at INTEGER NOT NULL,
    files INTEGER NOT NULL DEFAULT 0,   -- how many files were added, as far as the journal was read
    last_file_at INTEGER,
    last_file_serial INTEGER,
    PRIMARY KEY (package, version)
) STRICT;
CREATE INDEX journal_releases_by_time ON journal_releases (announced_at, package, version);

CREATE TABLE journal_rejects (          -- entries that name no valid release
    source TEXT NOT NULL,
    serial INTEGER NOT NULL,
    entry TEXT NOT NULL,                -- what it said, printable and shortened
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (source, serial, entry)
) STRICT;

CREATE TABLE journal_anomalies (        -- what no journal should do: going back, jumping, contradicting itself
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    PRIMARY KEY (source, kind, detail)
) STRICT;

-- The queue, in the order of a policy: see `ppp.model.queue_policy`.

DROP VIEW given_up;
DROP INDEX queue_in_turn;
ALTER TABLE queue RENAME TO queue_before;

-- Without rowids, the primary key ends each index: cells of equal priority are in one order, however they came in.
CREATE TABLE queue (
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,
    source TEXT NOT NULL,               -- a `ReleaseSource`: who or what asked for it
    enqueued_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,        -- how often it resulted in ERROR
    not_before INTEGER NOT NULL DEFAULT 0,      -- epoch seconds: when it may be tried again; 0 if it may now
    lease TEXT, leased_until INTEGER,   -- the run that works on it, and until when it may
    triggered_by TEXT,                  -- JSON object, if it is a re-check: for the record
    publisher TEXT NOT NULL DEFAULT '', -- who it shares its turns with; '' if it waits for no turn
    turn INTEGER NOT NULL DEFAULT 0,
    downloads INTEGER,                  -- of the package, when it was ranked; NULL if unknown
    risk INTEGER NOT NULL DEFAULT 4,    -- a `Risk`
    priority INTEGER NOT NULL DEFAULT 0,        -- all of its place but the attempts; lower comes first
    PRIMARY KEY (package, version, environment),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
) STRICT, WITHOUT ROWID;

-- Until the next run ranks them: what the default policy says where downloads and turns are not known.
INSERT INTO queue (package, version, environment, source, enqueued_at, attempts, not_before, lease, leased_until, priority)
    SELECT package, version, environment, source, enqueued_at, attempts, not_before, lease, leased_until,
           ((source NOT IN ('named', 'requirements')) << 61) + ((source <> 'watchlist') << 60) + (63 << 38) + (4 << 34)
           + enqueued_at
    FROM queue_before;
DROP TABLE queue_before;

-- What can be taken now, in its order. Cells of trusted sources apart, because without a gateway only these can be had.
CREATE INDEX queue_in_turn
    ON queue (environment, source IN ('named', 'requirements', 'watchlist'), attempts, priority, package, version)
    WHERE lease IS NULL AND not_before = 0 AND attempts < 3;
CREATE INDEX queue_waiting ON queue (not_before) WHERE not_before > 0;
CREATE INDEX queue_leased ON queue (leased_until) WHERE lease IS NOT NULL;
CREATE INDEX queue_by_publisher ON queue (publisher, turn);
CREATE INDEX queue_by_age ON queue (enqueued_at);

CREATE TABLE queue_order (              -- what the priorities were made from: one row, or none before the first run
    one INTEGER PRIMARY KEY CHECK (one = 1),
    policy TEXT NOT NULL,               -- JSON: the table `queue` of the matrix in use
    downloads TEXT NOT NULL             -- which numbers of downloads
) STRICT;

CREATE VIEW given_up AS                 -- queued cells that failed with ERROR too often; naming one tries it again
    SELECT package, version, environment, source, attempts FROM queue WHERE attempts >= 3;

ALTER TABLE pending ADD COLUMN triggered_by TEXT;       -- as the cell was queued

-- Why a release is skipped, from a closed list (`ppp.watch.queue.SkipReason`), and in words.
ALTER TABLE skips ADD COLUMN detail TEXT NOT NULL DEFAULT '';
UPDATE skips SET detail = reason;
UPDATE skips SET reason = CASE WHEN detail LIKE 'requested only where %' THEN 'marker' ELSE 'unsandboxed' END;

CREATE TABLE journal_states (           -- only in published databases, which have neither queue nor skips: as it was then
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('tested', 'queued', 'skipped', 'lost')),
    skip_reason TEXT,
    PRIMARY KEY (package, version),
    CHECK ((skip_reason IS NULL) = (state <> 'skipped'))
) STRICT;

-- What becomes of every release that was named. `lost` is what is left over: it shows a fault of this node.
CREATE VIEW coverage_releases AS
    SELECT j.package, j.version, j.serial, j.announced_at,
           CASE WHEN p.state IS NOT NULL THEN p.state
                WHEN EXISTS (SELECT 1 FROM queue AS q WHERE q.package = j.package AND q.version = j.version)
                  -- Looked up in a list that is made once, not once for each release.
                  OR (j.package, j.version) IN (SELECT w.document ->> 'package', w.document ->> 'version'
                                                FROM pending AS w)
                THEN 'queued'
                WHEN EXISTS (SELECT 1 FROM results AS r WHERE r.package = j.package AND r.version = j.version)
                THEN 'tested'
                WHEN EXISTS (SELECT 1 FROM skips AS s WHERE s.package = j.package AND s.version = j.version)
                THEN 'skipped'
                ELSE 'lost' END AS state,
           coalesce(p.skip_reason, (SELECT s.reason FROM skips AS s WHERE s.package = j.package AND s.version = j.version
                                    ORDER BY s.environment LIMIT 1)) AS skip_reason
    FROM journal_releases AS j LEFT JOIN journal_states AS p ON p.package = j.package AND p.version = j.version;

CREATE VIEW coverage_days AS            -- by UTC day of announcement: what became of the releases that were named
    SELECT day, sum(named) AS named, sum(tested) AS tested, sum(queued) AS queued, sum(skipped) AS skipped,
           sum(lost) AS lost, sum(gaps) AS gaps, sum(estimated_lost) AS estimated_lost
    FROM (SELECT date(announced_at, 'unixepoch') AS day, count(*) AS named, sum(state = 'tested') AS tested,
                 sum(state = 'queued') AS queued, sum(state = 'skipped') AS skipped, sum(state = 'lost') AS lost,
                 0 AS gaps, 0 AS estimated_lost
          FROM coverage_releases GROUP BY 1
          UNION ALL
          SELECT date(start_at, 'unixepoch'), 0, 0, 0, 0, 0, count(*), sum(estimate)
          FROM journal_gaps WHERE filled_at IS NULL GROUP BY 1)
    GROUP BY day;

CREATE TABLE downloads (                -- how often packages are downloaded, as files that were imported say
    period TEXT NOT NULL,               -- such as 2026-10, or 2026-10-02/2026-11-01
    package TEXT NOT NULL,
    python_version TEXT NOT NULL DEFAULT '',    -- such as 3.12; '': all of them together
    downloads INTEGER NOT NULL CHECK (downloads >= 0),
    PRIMARY KEY (period, package, python_version)
) STRICT, WITHOUT ROWID;

CREATE TABLE download_sources (         -- the file from which the downloads of a period come
    period TEXT NOT NULL,
    by_python INTEGER NOT NULL CHECK (by_python IN (0, 1)),     -- 1: its rows by Python version; 0: those of all together
    source TEXT NOT NULL,               -- in the words of whoever imported it: whose numbers they are, and their licence
    file_sha256 TEXT NOT NULL,
    PRIMARY KEY (period, by_python)
) STRICT, WITHOUT ROWID;

CREATE VIEW popularity AS               -- packages by the downloads of the newest period; 1 is the most downloaded
    SELECT rank() OVER (ORDER BY downloads DESC) AS place, package, downloads, period
    FROM downloads
    WHERE python_version = '' AND period = (SELECT max(period) FROM downloads WHERE python_version = '');

-- What a release breaks: who installs what, what made this node check cells again, and which verdicts changed then.

-- Of the text itself: where a schema is not trusted, as by `ppp verify`, SQLite allows no JSON function in an index.
CREATE INDEX records_with_trigger ON records (triggered_by) WHERE triggered_by IS NOT NULL;

CREATE TABLE installations (            -- the newest record of a package's newest release that installed anything there
    package TEXT NOT NULL,
    environment TEXT NOT NULL,
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (package, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE dependents (               -- what these records installed beside the package itself
    dependency TEXT NOT NULL,
    environment TEXT NOT NULL,
    package TEXT NOT NULL,
    installed TEXT NOT NULL,            -- the dependency's version
    PRIMARY KEY (dependency, environment, package)
) STRICT, WITHOUT ROWID;

INSERT INTO installations
    SELECT package, environment, record FROM (
        SELECT c.package, c.environment, c.record,
               row_number() OVER (PARTITION BY c.package, c.environment
                                  ORDER BY s.version_key DESC, c.observed_at DESC, c.record DESC) AS place
        FROM records AS c JOIN releases AS s ON s.package = c.package AND s.version = c.version
        WHERE c.installed <> '[]')
    WHERE place = 1;
INSERT OR IGNORE INTO dependents
    SELECT i.value ->> 0, n.environment, n.package, i.value ->> 1
    FROM installations AS n CROSS JOIN records AS c CROSS JOIN json_each(c.installed) AS i
    WHERE c.record = n.record AND i.value ->> 0 <> n.package
    ORDER BY n.package, n.environment, i.key;

CREATE TABLE triggers (                 -- what made this node check cells again
    kind TEXT NOT NULL CHECK (kind IN ('dependency', 'withdrawal', 'image', 'pip')),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    affected INTEGER NOT NULL,          -- how many cells it concerns
    queued INTEGER NOT NULL,            -- how many of them were within the budget
    PRIMARY KEY (kind, name, version, environment)
) STRICT;

CREATE TABLE landings_cursor (          -- up to which row of `records` new releases were looked for
    environment TEXT PRIMARY KEY,
    last_row INTEGER NOT NULL
) STRICT;
INSERT INTO landings_cursor SELECT environment, (SELECT coalesce(max(rowid), 0) FROM records) FROM environments;

-- This view and `ppp.ledger.flips.find_flips` state one rule, in SQL and in Python; a test compares them.
CREATE VIEW flips AS                    -- verdicts of a node that changed when it checked a cell again, with the trigger
    SELECT CASE c.result WHEN 'PASS' THEN 'fixed' ELSE 'broke' END AS flip,
           c.triggered_by ->> 'kind' AS trigger_kind, c.triggered_by ->> 'name' AS trigger_name,
           c.triggered_by ->> 'version' AS trigger_version, c.package, c.version, c.environment, c.result,
           p.result AS result_before, c.cause, c.detail, c.observed_at, c.node, c.record, p.record AS record_before,
           c.installed <> '[]' OR c.triggered_by ->> 'kind' NOT IN ('dependency', 'withdrawal') AS confirmed, c.triggered_by
    FROM records AS c INDEXED BY records_with_trigger CROSS JOIN records AS p
    WHERE c.triggered_by IS NOT NULL AND c.result IN ('PASS', 'FAIL', 'TIMEOUT')
      -- The newest verdict of the same node before the re-check; one that confirms another belongs to the same re-check.
      AND p.record = (
        SELECT b.record FROM records AS b
        WHERE b.package = c.package AND b.version = c.version AND b.environment = c.environment AND b.node = c.node
          AND b.result <> 'ERROR' AND (b.observed_at, b.record) < (c.observed_at, c.record)
          AND b.triggered_by IS NOT c.triggered_by
        ORDER BY b.observed_at DESC, b.record DESC LIMIT 1)
      AND (c.result = 'PASS' AND p.result IN ('FAIL', 'TIMEOUT') OR c.result <> 'PASS' AND p.result = 'PASS')
      -- The last observation of a re-check counts.
      AND NOT EXISTS (
        SELECT 1 FROM records AS l
        WHERE l.package = c.package AND l.version = c.version AND l.environment = c.environment AND l.node = c.node
          AND l.result <> 'ERROR' AND (l.observed_at, l.record) > (c.observed_at, c.record)
          AND l.triggered_by = c.triggered_by)
      -- Where a record shows that the re-check ran without the trigger, the trigger did not do it.
      AND CASE c.triggered_by ->> 'kind'
          WHEN 'image' THEN c.image_digest IS c.triggered_by ->> 'version'
          WHEN 'pip' THEN c.pip_version = c.triggered_by ->> 'version'
          WHEN 'dependency' THEN c.installed = '[]' OR EXISTS (
            SELECT 1 FROM json_each(c.installed) AS i
            WHERE i.value ->> 0 = c.triggered_by ->> 'name' AND i.value ->> 1 = c.triggered_by ->> 'version')
          -- Installers no longer take a release that was withdrawn: where it was installed, nothing has changed.
          WHEN 'withdrawal' THEN NOT EXISTS (
            SELECT 1 FROM json_each(c.installed) AS i
            WHERE i.value ->> 0 = c.triggered_by ->> 'name' AND i.value ->> 1 = c.triggered_by ->> 'version')
          ELSE 1 END;

CREATE TABLE trust_decisions (          -- keys of nodes that the operator decided about, whoever serves their batches
    node TEXT PRIMARY KEY,
    trusted INTEGER NOT NULL CHECK (trusted IN (0, 1)),
    decided_at INTEGER NOT NULL
) STRICT;

CREATE VIEW about AS                    -- what a copy of this file needs to say of itself, wherever it ends
    SELECT 'title' AS name, 'The PyPI Place: releases, installed and imported for real' AS value
    UNION ALL SELECT 'license', 'CC0-1.0'
    UNION ALL SELECT 'license_url', 'https://creativecommons.org/publicdomain/zero/1.0/'
    UNION ALL SELECT 'license_limits', 'Logs, details and file names quote what packages printed, which is not licensed by PPP.'
    UNION ALL SELECT 'meaning', 'PASS: this file installed and imported in this environment at this time. It says nothing of quality or safety.';
