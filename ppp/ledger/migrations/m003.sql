-- What a verdict leaves to tell: what the environment brought, each module that was tried, entry points, the wheel's own
-- list of files, and the index's marks. Columns that have nothing to say are NULL. All but three hold JSON as in
-- `record.schema.json`.

ALTER TABLE records ADD COLUMN preinstalled TEXT;       -- array of [name, version]: what the environment held before
ALTER TABLE records ADD COLUMN relies_on TEXT;          -- array: what of it the import needs and nothing declares
ALTER TABLE records ADD COLUMN primary_module TEXT;     -- plain text: the module of `imports` that decides
ALTER TABLE records ADD COLUMN import_failures TEXT;    -- array: the modules of `imports` that were not imported
ALTER TABLE records ADD COLUMN submodules TEXT;         -- object: tried, left_out, failed
ALTER TABLE records ADD COLUMN entry_points TEXT;       -- object: tried, broken
ALTER TABLE records ADD COLUMN record_mismatch TEXT;    -- object: missing, unlisted, different, examples
ALTER TABLE records ADD COLUMN yanked TEXT;             -- plain text: the index's reason, '' if it gave none
ALTER TABLE records ADD COLUMN project_status TEXT;     -- plain text: such as archived

DROP VIEW judged;

-- This view and `ppp.model.blame.assign_blame` state one rule, in SQL and in Python; a property test compares them.
-- A CROSS JOIN keeps the order of the tables: from the few cells of one release to the rest, each by an index, whatever
-- the statistics say.
CREATE VIEW judged AS                   -- `current`, with the blame corrected by the other cells of the release
    SELECT record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import,
           observed_at, node, arch, python, image_digest, standin, network, pip_version, filename, file_sha256,
           file_size, imports, installed, download_ms, nodeps_ms, full_ms, import_ms, download_bytes, nodeps_bytes,
           full_bytes, import_bytes, grounds, cause, detail, log_sha256, preinstalled, relies_on, primary_module,
           import_failures, submodules, entry_points, record_mismatch, yanked, project_status, version_key, platform,
           environment_python, python_key,
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

-- What a result leaves unsaid. Few records have any of it: the views start from this index, whatever the statistics say.
-- Each condition of it is one of a view's own, word for word; else SQLite would not see that it may use the index.
-- No function of JSON: older versions of SQLite refuse a whole file with such an index where the schema is not trusted.
CREATE INDEX records_with_remarks ON records (package, version, environment)
    WHERE relies_on IS NOT NULL
       OR import_failures IS NOT NULL
       OR instr(submodules, '"failed":[{') > 0
       OR instr(entry_points, '"broken":[{') > 0
       OR record_mismatch IS NOT NULL
       OR yanked IS NOT NULL
       OR project_status IS NOT NULL
       OR cause = 'withdrawn'
       OR result || ' ' || phase_import = 'PASS SKIP';       -- one condition: an AND inside an OR is not recognized

CREATE VIEW nothing_to_import AS        -- installs, and has no module to import
    SELECT c.package, c.version, c.environment, c.grounds ->> 'import' AS ground, c.detail, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
    WHERE c.result || ' ' || c.phase_import = 'PASS SKIP'
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

CREATE VIEW relies_on_image AS          -- passes only while the image brings a distribution that nothing declares
    SELECT c.package, c.version, c.environment, d.value AS distribution,
           (SELECT p.value ->> 1 FROM json_each(c.preinstalled) AS p WHERE p.value ->> 0 = d.value) AS brought_version,
           c.image_digest, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r CROSS JOIN json_each(c.relies_on) AS d
    WHERE c.relies_on IS NOT NULL AND c.result = 'PASS'
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

-- `ppp.model.partial_imports` states this rule in Python; a property test compares the two. A record names only the
-- submodules that failed: this one was tried too if as many were tried as in the cell in which it failed, and none or as
-- many left out, because they are chosen in the same order everywhere.
CREATE VIEW imports_in_part AS          -- passes, but a module does not load there that loads in another environment
    SELECT package, version, environment, module, cause, detail, loads_in, record
    FROM (SELECT c.package, c.version, c.environment, m.value ->> 'module' AS module, m.value ->> 'cause' AS cause,
                 m.value ->> 'detail' AS detail, c.record,
                 (SELECT min(a.environment)
                  FROM results AS a CROSS JOIN records AS s
                  WHERE a.package = c.package AND a.version = c.version AND a.environment <> c.environment
                    AND s.record = a.record AND s.result = 'PASS' AND s.phase_import = 'PASS'
                    AND EXISTS (SELECT 1 FROM json_each(s.imports) AS i WHERE i.value = m.value ->> 'module')
                    AND NOT EXISTS (SELECT 1 FROM json_each(s.import_failures) AS i
                                    WHERE i.value ->> 'module' = m.value ->> 'module')) AS loads_in
          FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
               CROSS JOIN json_each(c.import_failures) AS m
          WHERE c.import_failures IS NOT NULL AND c.result = 'PASS'
            AND r.package = c.package AND r.version = c.version AND r.environment = c.environment
            AND r.record = c.record AND m.value ->> 'outcome' IN ('FAIL', 'TIMEOUT')
          UNION ALL
          SELECT c.package, c.version, c.environment, m.value ->> 'module', m.value ->> 'cause', m.value ->> 'detail',
                 c.record,
                 (SELECT min(a.environment)
                  FROM results AS a CROSS JOIN records AS s
                  WHERE a.package = c.package AND a.version = c.version AND a.environment <> c.environment
                    AND s.record = a.record AND s.result = 'PASS'
                    AND ((s.submodules ->> 'left_out' = 0 AND s.submodules ->> 'tried' >= c.submodules ->> 'tried')
                         OR (s.submodules ->> 'left_out' = c.submodules ->> 'left_out'
                             AND s.submodules ->> 'tried' = c.submodules ->> 'tried'))
                    AND NOT EXISTS (SELECT 1 FROM json_each(s.submodules, '$.failed') AS i
                                    WHERE i.value ->> 'module' = m.value ->> 'module'))
          FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
               CROSS JOIN json_each(c.submodules, '$.failed') AS m
          WHERE instr(c.submodules, '"failed":[{') > 0 AND c.result = 'PASS'
            AND r.package = c.package AND r.version = c.version AND r.environment = c.environment
            AND r.record = c.record AND m.value ->> 'outcome' IN ('FAIL', 'TIMEOUT'))
    WHERE loads_in IS NOT NULL;

CREATE VIEW broken_entry_points AS      -- commands whose module or attribute cannot be had
    SELECT c.package, c.version, c.environment, c.result, p.value ->> 'group' AS entry_group, p.value ->> 'name' AS name,
           p.value ->> 'value' AS value, p.value ->> 'detail' AS detail, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
         CROSS JOIN json_each(c.entry_points, '$.broken') AS p
    WHERE instr(c.entry_points, '"broken":[{') > 0
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

CREATE VIEW record_mismatches AS        -- wheels whose RECORD differs from their content, in numbers of files
    SELECT c.package, c.version, c.environment, c.filename, c.file_sha256, c.record_mismatch ->> 'missing' AS missing,
           c.record_mismatch ->> 'unlisted' AS unlisted, c.record_mismatch ->> 'different' AS different,
           c.record_mismatch -> 'examples' AS examples, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
    WHERE c.record_mismatch IS NOT NULL
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

CREATE VIEW yanked_releases AS          -- cells whose file is yanked, with the index's reason
    SELECT c.package, c.version, c.environment, c.result, c.yanked AS reason, c.filename, c.observed_at, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
    WHERE c.yanked IS NOT NULL
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

CREATE VIEW withdrawn AS                -- cells whose release the index no longer offers
    SELECT c.package, c.version, c.environment, c.result, c.detail, c.observed_at, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
    WHERE c.cause = 'withdrawn'
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;

CREATE VIEW project_statuses AS         -- cells whose project the index does not call active
    SELECT c.package, c.version, c.environment, c.result, c.project_status AS status, c.observed_at, c.record
    FROM records AS c INDEXED BY records_with_remarks CROSS JOIN results AS r
    WHERE c.project_status IS NOT NULL
      AND r.package = c.package AND r.version = c.version AND r.environment = c.environment AND r.record = c.record;
