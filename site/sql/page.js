// The SQL page: an editor, and a worker that runs SQLite on the database. Everything from the database is shown as
// text, with control and invisible characters escaped. The URL holds the query: #sql=…&p_package=lxml; or it names a fact
// of an episode, whose query is in the episode's file: #episode=2026-11-28&fact=3.

import { csvOf, jsonOf, parametersIn, shown } from "./text.js";

const MAX_SHOWN_ROWS = 500;
const MAX_SAVED_ROWS = 100_000;
const MAX_CELL_CHARACTERS = 400;
const MAX_SHORT_CHARACTERS = 40;
/** A normalized package name, as in the path of its page; other values are not linked. */
const PACKAGE = /^[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?$/;

/** A night or a week, as the folder of an episode is called. */
const PERIOD = /^[0-9]{4}-(?:[0-9]{2}-[0-9]{2}|W[0-9]{2})$/;

const byId = (id) => document.getElementById(id);
const [panel, editor, inputs, status, errorBox] = ["console", "query", "values", "status", "error"].map(byId);
const [result, after, permalink] = ["result", "after", "permalink"].map(byId);
const [runButton, stopButton, csv, json] = ["run", "stop", "csv", "json"].map(byId);

let worker = null;
let opened = null;
let waiting = null;
let shownFor = null;
let currentHash = "";

const numbers = new Intl.NumberFormat("en");
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const plural = (count, noun) => `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- the worker ----

/** Start the worker and download the database; queries wait until it is open. */
function startWorker() {
  worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  opened = Promise.withResolvers ? Promise.withResolvers() : deferred();
  opened.promise.catch(() => {});
  worker.onmessage = ({ data }) => receive(data);
  worker.onerror = () => receive({ kind: "failed", id: null, message: "SQLite cannot be started in this browser" });
  worker.postMessage({ kind: "open", url: new URL(panel.dataset.database, document.baseURI).href });
  status.textContent = "Downloading the database …";
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

function receive(message) {
  switch (message.kind) {
    case "progress": {
      const whole = message.total ? ` of ${megabytes(message.total)}` : "";
      status.textContent = `Downloading the database: ${megabytes(message.received)}${whole} …`;
      break;
    }
    case "opened":
      showDatabase(message);
      opened.resolve();
      break;
    case "rows":
      if (message.id === waiting?.id) waiting.resolve(message);
      break;
    case "failed":
      if (message.id === null) stopWorker(new Error(message.message));
      else if (message.id === waiting?.id) waiting.reject(new Error(message.message));
      break;
  }
}

/** Terminate the worker and reject pending promises with a reason. */
function stopWorker(reason) {
  worker?.terminate();
  worker = null;
  opened?.reject(reason);
  waiting?.reject(reason);
}

let lastId = 0;

/** Run a query in the worker and return its rows; at most one query runs at a time. */
async function query(sql, values, most) {
  if (worker === null) startWorker();
  const id = ++lastId;
  waiting = { id, ...deferred() };
  waiting.promise.catch(() => {});
  setBusy(true);
  try {
    await opened.promise;
    status.textContent = "Running …";
    worker.postMessage({ kind: "run", id, sql, values, most });
    return await waiting.promise;
  } finally {
    waiting = null;
    setBusy(false);
  }
}

function setBusy(busy) {
  runButton.disabled = busy;
  stopButton.hidden = !busy;
  csv.disabled = json.disabled = busy || shownFor === null;
  panel.setAttribute("aria-busy", String(busy));
}

class Cancelled extends Error {}

// ---- output ----

/** Show the SQLite version and database size, and hide tables that this database does not have. */
function showDatabase({ version, packed, bytes, tables }) {
  byId("engine").textContent = `SQLite ${version}, ${megabytes(bytes)} (${megabytes(packed)} downloaded)`;
  const names = new Set(tables.map((row) => row.table));
  for (const entry of document.querySelectorAll("[data-table]")) entry.hidden = !names.has(entry.dataset.table);
}

function cell(column, value) {
  if (value === null) return element("td", { className: "null" }, "NULL");
  if (typeof value === "number") return element("td", { className: "n" }, String(value));
  if (typeof value === "object") return element("td", { className: "null" }, `${plural(value.bytes, "byte")}`);
  const text = shown(value, MAX_CELL_CHARACTERS);
  const className = text.length > MAX_SHORT_CHARACTERS ? "long" : "";
  if (column !== "package" || !PACKAGE.test(value)) return element("td", { className }, text);
  return element("td", {}, element("a", { href: `${panel.dataset.root}p/${value}/index.html` }, text));
}

function show({ columns, rows, more, ms }) {
  const names = columns.map((name) => element("th", { scope: "col" }, shown(name, 100)));
  const lines = rows.map((row) => element("tr", {}, ...row.map((value, index) => cell(columns[index], value))));
  const table = element(
    "table",
    { className: "rows" },
    element("caption", { className: "hidden" }, "Result"),
    element("thead", {}, element("tr", {}, ...names)),
    element("tbody", {}, ...lines),
  );
  result.replaceChildren(...(columns.length && rows.length ? [table] : []));
  after.hidden = false;
  const count = more ? `The first ${plural(rows.length, "row")}; there are more` : plural(rows.length, "row");
  status.textContent = `${count}, in ${numbers.format(Math.round(ms))} ms.`;
}

function showError(error) {
  result.replaceChildren();
  after.hidden = true;
  shownFor = null;
  errorBox.textContent = error instanceof Cancelled ? "" : shown(error.message, 2_000);
  errorBox.hidden = error instanceof Cancelled;
  status.textContent = error instanceof Cancelled ? "Cancelled." : "The query failed.";
  csv.disabled = json.disabled = true;
}

// ---- the editor ----

const valuesNow = () => Object.fromEntries(Array.from(inputs.querySelectorAll("input"), (one) => [one.name, one.value]));

/** Show an input for each parameter of the query; values already typed are kept. */
function updateFields(values = {}) {
  const known = { ...valuesNow(), ...values };
  const names = parametersIn(editor.value);
  if (names.join() === Array.from(inputs.querySelectorAll("input"), (one) => one.name).join()) {
    for (const input of inputs.querySelectorAll("input")) input.value = known[input.name] ?? "";
    return;
  }
  const made = names.map((name) =>
    element(
      "label",
      {},
      element("code", {}, `:${name}`),
      element("input", { name, value: known[name] ?? "", spellcheck: false, autocomplete: "off" }),
    ),
  );
  inputs.replaceChildren(...made);
  inputs.hidden = !made.length;
}

function addressOf(sql, values) {
  const named = Object.entries(values).map(([name, value]) => [`p_${name}`, value]);
  return `#${new URLSearchParams([["sql", sql], ...named])}`;
}

async function run() {
  const sql = editor.value;
  const values = valuesNow();
  if (!sql.trim() || waiting) return;
  permalink.href = addressOf(sql, values);
  if (permalink.hash !== currentHash) history.pushState(null, "", permalink.hash);
  currentHash = permalink.hash;
  errorBox.hidden = true;
  try {
    shownFor = { sql, values };
    show(await query(sql, values, MAX_SHOWN_ROWS));
  } catch (error) {
    showError(error);
  }
}

/** Return the SQL of a fact of an episode, by the period of the one and the number of the other. */
async function factQuery(period, number) {
  if (!PERIOD.test(period)) throw new Error("The address names no episode.");
  const response = await fetch(`${panel.dataset.root}episodes/${period}/episode.json`);
  if (!response.ok) throw new Error(`There is no episode of ${period}.`);
  const { facts } = await response.json();
  const sql = facts[Number(number)]?.sql;
  if (typeof sql !== "string") throw new Error(`The episode of ${period} has no such fact.`);
  return sql;
}

/** Load the query of a fact that the URL names, and go on as if the URL held it. */
async function loadFact(parameters) {
  try {
    const sql = await factQuery(parameters.get("episode"), parameters.get("fact"));
    history.replaceState(null, "", addressOf(sql, {}));
    loadFromUrl();
  } catch (error) {
    errorBox.hidden = false;
    showError(error);
  }
}

/** Load the query and its parameters from the URL, and run it. */
function loadFromUrl() {
  currentHash = location.hash;
  const parameters = new URLSearchParams(currentHash.slice(1));
  if (parameters.has("episode")) {
    loadFact(parameters);
    return;
  }
  const sql = parameters.get("sql");
  if (sql === null) return;
  if (waiting) stopWorker(new Cancelled("another query was started"));
  editor.value = sql;
  const named = [...parameters].filter(([name]) => name.startsWith("p_"));
  updateFields(Object.fromEntries(named.map(([name, value]) => [name.slice(2), value])));
  // Let the running query settle first.
  setTimeout(run);
}

async function save(kind, write) {
  const { sql, values } = shownFor;
  try {
    const found = await query(sql, values, MAX_SAVED_ROWS);
    const url = URL.createObjectURL(new Blob([write(found)], { type: kind }));
    element("a", { href: url, download: `ppp-query.${kind === "text/csv" ? "csv" : "json"}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    const count = plural(found.rows.length, "row");
    status.textContent = found.more ? `The first ${count} were saved; there are more.` : `${count} saved.`;
  } catch (error) {
    showError(error);
  }
}

function use(saved) {
  editor.value = saved.querySelector("code.sql").textContent;
  updateFields(Object.fromEntries(Array.from(saved.querySelectorAll("[data-param]"), (one) => [one.dataset.param, one.textContent])));
  editor.focus();
  editor.scrollIntoView({ block: "nearest" });
  run();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
editor.addEventListener("input", () => updateFields());
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
  if (event.key === "Escape" && waiting) stopWorker(new Cancelled());
});
stopButton.addEventListener("click", () => stopWorker(new Cancelled()));
csv.addEventListener("click", () => save("text/csv", csvOf));
json.addEventListener("click", () => save("application/json", jsonOf));
addEventListener("hashchange", loadFromUrl);
addEventListener("popstate", () => location.hash !== currentHash && loadFromUrl());

for (const saved of document.querySelectorAll("[data-query]")) {
  const button = element("button", { type: "button" }, "Run it");
  button.addEventListener("click", () => use(saved));
  saved.append(button);
}
byId("without").hidden = true;
panel.hidden = false;
setBusy(false);
updateFields();
loadFromUrl();
