// What is known about a requirement in each environment: the same rule as in ppp/model/answers.py.

import { filterVersions } from "./versions.js";

const STATES = { PASS: "works", FAIL: "fails", TIMEOUT: "fails", ERROR: "unknown" };

// Return the checked releases that a file of api/v1/p/ lists, newest first, and which version passed where.
export function packageKnowledge(file) {
  const newest = Object.fromEntries(
    file.cells.map(({ environment, result, cause, blame, detail, run, nothing_to_import: empty }) => [
      environment,
      { result, shown: empty ? "installed" : result, cause: cause ?? null, blame: blame ?? null, detail: detail ?? null, standin: file.runs[run]?.standin ?? false },
    ]),
  );
  const older = (results) =>
    Object.fromEntries(Object.entries(results).flatMap(([result, places]) => places.map((place) => [place, { result, cause: null, blame: null, detail: null, standin: false }])));
  return {
    releases: file.history.map(({ version, results }) => ({ version, cells: version === file.version ? newest : older(results) })),
    passing: file.worked,
  };
}

// Return what the row of a package without a file of its own says: its newest release, and what passed last.
export function lookedUpKnowledge({ version, cells }) {
  const results = { installed: "PASS" };
  const known = cells.map(({ environment, shown, cause, blame, standin }) => [environment, { result: results[shown] ?? shown, shown, cause: cause ?? null, blame: blame ?? null, detail: null, standin }]);
  const passing = cells.map(({ environment, passed }) => [environment, passed ?? null]);
  return { releases: [{ version, cells: Object.fromEntries(known) }], passing: Object.fromEntries(passing) };
}

// Return the version that passes and has the fewest releases between it and this one, of two the newer one.
function nearest(environment, version, { releases, passing }) {
  const places = [...releases.keys()].filter((place) => releases[place].cells[environment]?.result === "PASS");
  if (!places.length) return passing?.[environment] ?? null;
  const here = Math.max(0, releases.findIndex((release) => release.version === version));
  places.sort((a, b) => Math.abs(a - here) - Math.abs(b - here) || a - b);
  return releases[places[0]].version;
}

function cellAnswer(environment, allowed, known) {
  const unknown = { environment, state: "unknown", version: null, cell: null };
  if (!allowed.length) return { ...unknown, nearest: nearest(environment, null, known) };
  for (const { version, cells } of allowed) {
    const cell = Object.hasOwn(cells, environment) ? cells[environment] : null;
    if (cell?.result === "NA") continue;
    const state = cell ? STATES[cell.result] : "unknown";
    return { environment, state, version, cell, nearest: state === "works" ? null : nearest(environment, version, known) };
  }
  const [{ version, cells }] = allowed;
  return { environment, state: "not-claimed", version, cell: cells[environment], nearest: nearest(environment, version, known) };
}

// Return the answers for the environments, in their order; `needed` says of each whether the requirement applies.
export function answer({ specifiers }, known, needed) {
  const versions = new Set(filterVersions(specifiers, known.releases.map(({ version }) => version)));
  const allowed = known.releases.filter(({ version }) => versions.has(version));
  return Object.entries(needed).map(([environment, applies]) =>
    applies ? cellAnswer(environment, allowed, known) : { environment, state: "not-needed", version: null, cell: null, nearest: null },
  );
}
