// The SQL page: an editor, and a worker that holds SQLite and the database. Whatever the database says is shown as
// text, each character that could act or hide as its escape. The address holds the query: #sql=…&p_package=lxml.

import { csvOf, jsonOf, parametersIn, shown } from "./text.js";

const MAX_SHOWN_ROWS = 500;
const MAX_SAVED_ROWS = 100_000;
const MAX_CELL_CHARACTERS = 400;
const MAX_SHORT_CHARACTERS = 40;
/** A package's own name, as a page of the site is called: anything else is no link. */
const PACKAGE = /^[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?$/;

const at = (id) => document.getElementById(id);
const [desk, editor, inputs, status, trouble] = ["desk", "query", "values", "status", "trouble"].map(at);
const [answer, after, permalink] = ["answer", "after", "permalink"].map(at);
const [runs, stops, csv, json] = ["run", "stop", "csv", "json"].map(at);

let worker = null;
let opened = null;
let waiting = null;
let shownFor = null;
let place = "";

const numbers = new Intl.NumberFormat("en");
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const plural = (count, noun) => `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- the worker ----

/** Start the worker and let it fetch the database; what was asked meanwhile waits for it. */
function begin() {
  worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  opened = Promise.withResolvers ? Promise.withResolvers() : deferred();
  opened.promise.catch(() => {});
  worker.onmessage = ({ data }) => heard(data);
  worker.onerror = () => heard({ kind: "failed", id: null, message: "SQLite cannot be started in this browser" });
  worker.postMessage({ kind: "open", url: new URL(desk.dataset.database, document.baseURI).href });
  status.textContent = "Fetching the database …";
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

function heard(message) {
  switch (message.kind) {
    case "progress": {
      const whole = message.total ? ` of ${megabytes(message.total)}` : "";
      status.textContent = `Fetching the database: ${megabytes(message.received)}${whole} …`;
      break;
    }
    case "opened":
      tell(message);
      opened.resolve();
      break;
    case "rows":
      if (message.id === waiting?.id) waiting.resolve(message);
      break;
    case "failed":
      if (message.id === null) end(new Error(message.message));
      else if (message.id === waiting?.id) waiting.reject(new Error(message.message));
      break;
  }
}

/** End the worker; whoever waits for it is told why. */
function end(why) {
  worker?.terminate();
  worker = null;
  opened?.reject(why);
  waiting?.reject(why);
}

let asked = 0;

/** Ask a query; at most one is on its way at a time. */
async function ask(sql, values, most) {
  if (worker === null) begin();
  const id = ++asked;
  waiting = { id, ...deferred() };
  waiting.promise.catch(() => {});
  busy(true);
  try {
    await opened.promise;
    status.textContent = "Running …";
    worker.postMessage({ kind: "run", id, sql, values, most });
    return await waiting.promise;
  } finally {
    waiting = null;
    busy(false);
  }
}

function busy(is) {
  runs.disabled = is;
  stops.hidden = !is;
  csv.disabled = json.disabled = is || shownFor === null;
  desk.setAttribute("aria-busy", String(is));
}

class Cancelled extends Error {}

// ---- what is shown ----

/** Say which database this is, and name under the editor the tables that it really holds. */
function tell({ version, packed, bytes, tables }) {
  at("engine").textContent = `SQLite ${version}, ${megabytes(bytes)} (${megabytes(packed)} fetched)`;
  const held = new Set(tables.map((row) => row.table));
  for (const entry of document.querySelectorAll("[data-table]")) entry.hidden = !held.has(entry.dataset.table);
}

function cell(column, value) {
  if (value === null) return element("td", { className: "null" }, "NULL");
  if (typeof value === "number") return element("td", { className: "n" }, String(value));
  if (typeof value === "object") return element("td", { className: "null" }, `${plural(value.bytes, "byte")}`);
  const text = shown(value, MAX_CELL_CHARACTERS);
  const className = text.length > MAX_SHORT_CHARACTERS ? "long" : "";
  if (column !== "package" || !PACKAGE.test(value)) return element("td", { className }, text);
  return element("td", {}, element("a", { href: `${desk.dataset.root}p/${value}/index.html` }, text));
}

function show({ columns, rows, more, ms }) {
  const names = columns.map((name) => element("th", { scope: "col" }, shown(name, 100)));
  const lines = rows.map((row) => element("tr", {}, ...row.map((value, index) => cell(columns[index], value))));
  const table = element(
    "table",
    { className: "rows" },
    element("caption", { className: "hidden" }, "The answer"),
    element("thead", {}, element("tr", {}, ...names)),
    element("tbody", {}, ...lines),
  );
  answer.replaceChildren(...(columns.length && rows.length ? [table] : []));
  after.hidden = false;
  const count = more ? `The first ${plural(rows.length, "row")}; there are more` : plural(rows.length, "row");
  status.textContent = `${count}, in ${numbers.format(Math.round(ms))} ms.`;
}

function complain(error) {
  answer.replaceChildren();
  after.hidden = true;
  shownFor = null;
  trouble.textContent = error instanceof Cancelled ? "" : shown(error.message, 2_000);
  trouble.hidden = error instanceof Cancelled;
  status.textContent = error instanceof Cancelled ? "Cancelled." : "No answer.";
  csv.disabled = json.disabled = true;
}

// ---- the editor ----

const valuesNow = () => Object.fromEntries(Array.from(inputs.querySelectorAll("input"), (one) => [one.name, one.value]));

/** Show a field for each value that the query asks for; what was typed stays. */
function fields(values = {}) {
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
  if (permalink.hash !== place) history.pushState(null, "", permalink.hash);
  place = permalink.hash;
  trouble.hidden = true;
  try {
    shownFor = { sql, values };
    show(await ask(sql, values, MAX_SHOWN_ROWS));
  } catch (error) {
    complain(error);
  }
}

/** Take the query, and its values, from the address; run what is there. */
function follow() {
  place = location.hash;
  const said = new URLSearchParams(place.slice(1));
  const sql = said.get("sql");
  if (sql === null) return;
  if (waiting) end(new Cancelled("another query was asked for"));
  editor.value = sql;
  const named = [...said].filter(([name]) => name.startsWith("p_"));
  fields(Object.fromEntries(named.map(([name, value]) => [name.slice(2), value])));
  // What is under way ends first, in a turn of its own.
  setTimeout(run);
}

async function save(kind, write) {
  const { sql, values } = shownFor;
  try {
    const found = await ask(sql, values, MAX_SAVED_ROWS);
    const url = URL.createObjectURL(new Blob([write(found)], { type: kind }));
    element("a", { href: url, download: `ppp-query.${kind === "text/csv" ? "csv" : "json"}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    const count = plural(found.rows.length, "row");
    status.textContent = found.more ? `The first ${count} saved; there are more.` : `${count} saved.`;
  } catch (error) {
    complain(error);
  }
}

function use(saved) {
  editor.value = saved.querySelector("code.sql").textContent;
  fields(Object.fromEntries(Array.from(saved.querySelectorAll("[data-param]"), (one) => [one.dataset.param, one.textContent])));
  editor.focus();
  editor.scrollIntoView({ block: "nearest" });
  run();
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
editor.addEventListener("input", () => fields());
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
  if (event.key === "Escape" && waiting) end(new Cancelled());
});
stops.addEventListener("click", () => end(new Cancelled()));
csv.addEventListener("click", () => save("text/csv", csvOf));
json.addEventListener("click", () => save("application/json", jsonOf));
addEventListener("hashchange", follow);
addEventListener("popstate", () => location.hash !== place && follow());

for (const saved of document.querySelectorAll("[data-query]")) {
  const button = element("button", { type: "button" }, "Run it");
  button.addEventListener("click", () => use(saved));
  saved.append(button);
}
at("without").hidden = true;
desk.hidden = false;
busy(false);
fields();
follow();
