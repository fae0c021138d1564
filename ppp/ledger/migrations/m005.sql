-- What a failed cell did with the index as it was when its release came.

ALTER TABLE records ADD COLUMN drift TEXT;  -- JSON object: as_of, result_then, runs, culprits; left out if that was not asked

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
           drift, version_key,
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
