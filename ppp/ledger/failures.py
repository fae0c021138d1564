"""Views of what is broken, judged, and of how much was checked: what saved queries and findings ask first.

Each starts from the few rows that it is about and finds the rest by an index, whatever statistics may say.
"""

from typing import Final


def _cell(table: str, condition: str) -> str:
    # CROSS: from the cells outwards.
    return f"""
        FROM results AS r CROSS JOIN records AS c CROSS JOIN releases AS s
        WHERE r.package = {table}.package AND r.environment = {table}.environment AND c.record = r.record
          AND s.package = r.package AND s.version = r.version AND c.result <> 'ERROR' AND {condition}"""


def _has(condition: str) -> str:
    return f"""EXISTS (
        SELECT 1 FROM results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
        WHERE r.package = p.package AND c.record = r.record AND e.environment = r.environment AND {condition})"""  # noqa: S608 - only our own constants, here and below


VIEWS: Final = f"""
CREATE VIEW failures AS                 -- what is current and fails or times out, judged
    SELECT package, version, environment, result, cause, blame, blamed_by, detail, observed_at, record,
           version_key, platform, environment_python, python_key
    FROM judged WHERE result IN ('FAIL', 'TIMEOUT');
CREATE VIEW newly_broken AS             -- the newest release fails where the one before it passed; an ERROR is neither
    SELECT f.package, f.version, f.environment, p.version AS version_before, f.result, f.cause, f.blame, f.detail,
           f.observed_at, f.record
    FROM (SELECT *, (SELECT r.record {_cell("failures", "s.version_key < failures.version_key")}
                     ORDER BY s.version_key DESC LIMIT 1) AS before
          FROM failures) AS f
    JOIN records AS p ON p.record = f.before
    WHERE p.result = 'PASS' AND NOT EXISTS (SELECT 1 {_cell("f", "s.version_key > f.version_key")});
CREATE VIEW never_on_alpine AS          -- observed on Alpine, installed there in no version; passes on slim
    SELECT p.package, max(c.observed_at) AS last_observed_at, count(DISTINCT c.version) AS versions
    FROM packages AS p CROSS JOIN results AS r CROSS JOIN records AS c CROSS JOIN environments AS e
    WHERE r.package = p.package AND c.record = r.record AND e.environment = r.environment
      AND e.platform = 'alpine' AND c.result <> 'ERROR'
      AND NOT {_has("e.platform = 'alpine' AND c.result <> 'ERROR' AND c.phase_full = 'PASS'")}
      AND {_has("e.platform = 'slim' AND c.result = 'PASS'")}
    GROUP BY p.package;
CREATE VIEW disagreements AS            -- cells on which nodes have come to different results; an ERROR is none
    SELECT package, version, environment, count(DISTINCT node) AS nodes, group_concat(DISTINCT result) AS results
    FROM records
    WHERE result <> 'ERROR' AND (package, version, environment) IN (
        SELECT package, version, environment FROM records WHERE result IN ('FAIL', 'TIMEOUT', 'NA'))
    GROUP BY package, version, environment
    HAVING count(DISTINCT result) > 1 AND count(DISTINCT node) > 1;
CREATE VIEW coverage AS                 -- by UTC day: what was checked, what it came to, and what was left out
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
"""  # noqa: S608
