"""The view `judged`: what is current, with the blame that sibling cells tell where a log cannot.

It says in SQL what `ppp.model.blame` says in Python; a property test holds the two together. What it looks up, it finds
by an index: the cells of one release.
"""

from typing import Final

from ppp.model.blame import AMBIGUOUS_CAUSES

#: The columns of the view `current`, without its blame.
_COLUMNS: Final = """
    record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import, observed_at,
    node, arch, python, image_digest, standin, network, pip_version, filename, file_sha256, file_size, imports,
    installed, download_ms, nodeps_ms, full_ms, import_ms, download_bytes, nodeps_bytes, full_bytes, import_bytes,
    grounds, cause, detail, log_sha256, version_key, platform, environment_python, python_key"""


def _in_doubt(cell: str) -> str:
    causes = ", ".join(f"'{cause}'" for cause in sorted(AMBIGUOUS_CAUSES))
    return (
        f"({cell}.result = 'FAIL' AND coalesce({cell}.cause, 'unclassified') IN ({causes})"
        f" AND coalesce({cell}.blame, 'unknown') IN ('package', 'unknown'))"
    )


def _sibling(condition: str) -> str:
    # CROSS: from the release's cells outwards, whatever statistics may say.
    return f"""EXISTS (
        SELECT 1 FROM results AS r CROSS JOIN records AS s CROSS JOIN environments AS e
        WHERE r.package = c.package AND r.version = c.version AND r.environment <> c.environment
          AND s.record = r.record AND e.environment = r.environment AND {condition})"""  # noqa: S608 - only our own constants, here and below


_OTHERWISE: Final = f"NOT ({_in_doubt('s')} AND coalesce(s.cause, 'unclassified') = coalesce(c.cause, 'unclassified'))"

VIEW: Final = f"""
CREATE VIEW judged AS                   -- current, with the blame that sibling cells tell where the log cannot
    SELECT {_COLUMNS},
           coalesce(told, blame) AS blame,
           CASE WHEN told IS NOT NULL THEN 'siblings' WHEN blame IS NOT NULL THEN 'log' END AS blamed_by
    FROM (
        SELECT c.*, CASE
            WHEN NOT {_in_doubt("c")} THEN NULL
            WHEN {_sibling("e.python_key = c.python_key AND e.platform <> c.platform AND s.result = 'PASS'")}
            THEN 'environment'
            WHEN {_sibling("e.python_key <> c.python_key AND e.platform = c.platform AND s.result = 'PASS'")}
            THEN 'package'
            WHEN {_sibling("s.result NOT IN ('NA', 'ERROR')")}
             AND NOT {_sibling(f"s.result NOT IN ('NA', 'ERROR') AND {_OTHERWISE}")}
            THEN 'package'
        END AS told
        FROM current AS c);
"""  # noqa: S608
