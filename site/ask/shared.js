// What the pages for asking and for comparing share: elements, and what this site knows about a package.
// Everything is inserted as text, never as HTML.

import { lookedUpKnowledge, packageKnowledge } from "./answers.js";

export const ROOT = new URL("..", import.meta.url);

export function element(name, content, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...[content].flat().filter((part) => part !== null && part !== undefined && part !== ""));
  return made;
}

export const link = (text, path) => element("a", text, { href: new URL(path, ROOT).href });

export const resultChip = (shown, count) =>
  element("span", [count === undefined ? "" : `${count} `, element("b", shown)], { className: `chip ${shown.toLowerCase()}` });

export const causeCode = (cause) => element("code", cause, { className: "cause" });

export function scrollBox(table, label) {
  const box = element("div", table, { className: "scroll", tabIndex: 0, role: "group", ariaLabel: label });
  return box;
}

// Return the paragraph that says which cells ran on a stand-in, null if none did: once a page.
export function standinNote(environments) {
  if (!environments.length) return null;
  const places = environments.flatMap((environment, place) => [place ? ", " : "", element("code", environment)]);
  return element("p", [element("b", "stand-in", { className: "standin" }), " ", ...places, ": ran on substitutes for the official images."], { className: "note" });
}

// The sentence of `ppp/model/standing.py` on the index's newest version, where that is another one; else "".
export function noticeOf({ file, row }) {
  if (row) return row.notice ?? "";
  const listed = file.on_index;
  if (!listed || listed.standing === "newest") return "";
  const isChecked = file.history.some(({ version }) => version === listed.newest);
  return `PyPI's newest is ${listed.newest}: ${isChecked ? "checked, too" : "not checked yet"}.`;
}

// The order of environments on all pages: `EnvironmentId.sort_key` of `ppp/model/matrix.py`.
const PLATFORMS = ["slim", "alpine", "host"];

export function compareEnvironments(one, other) {
  const [a, b] = [one, other].map((id) => /^py(\d)(\d+)-(.+)$/.exec(id));
  return PLATFORMS.indexOf(a[3]) - PLATFORMS.indexOf(b[3]) || a[1] - b[1] || a[2] - b[2];
}

export async function json(path) {
  const response = await fetch(new URL(path, ROOT));
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

let site;

// Where not every package has a page, one that has none is in a small file with others.
async function lookedUp(name) {
  site ??= json("search.json");
  if (!(await site)?.lookup) return null;
  const { lookUp } = await import("../lookup.js");
  return lookUp(name);
}

const read = new Map();

// Return what the site publishes about a package: its file, or its row where it has none, what `answer` needs of it,
// and the address that shows it; null where nothing was checked.
async function readPackage(name) {
  const file = await json(`api/v1/p/${name}.json`);
  if (file) return { file, known: packageKnowledge(file), page: `p/${name}/index.html` };
  const row = await lookedUp(name);
  return row && { row, known: lookedUpKnowledge(row), page: `lookup/index.html?name=${encodeURIComponent(name)}` };
}

export function knownPackage(name) {
  if (!read.has(name)) {
    const asked = readPackage(name);
    // What could not be read is asked for again.
    asked.catch(() => read.delete(name));
    read.set(name, asked);
  }
  return read.get(name);
}
