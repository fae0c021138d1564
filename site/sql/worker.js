// SQLite on one file in memory, off the page's thread: the page ends this worker to end a query that will not.
// The database is opened read-only; no value is longer than two million bytes, and no answer larger than it may be.

import start from "./sqlite3.js";

const MAX_VALUE_BYTES = 2_000_000;
const MAX_ANSWER_CHARACTERS = 64_000_000;

// It would look for file systems of the browser's own, and complain that there are none.
const none = { kvvfs: true, opfs: true, "opfs-vfs": true, "opfs-sahpool": true, "opfs-wl": true };
globalThis.sqlite3ApiConfig = { disable: { vfs: none }, warn: () => {} };

let sqlite = null;
let db = null;

const say = (kind, fields, transfer = []) => self.postMessage({ kind, ...fields }, transfer);

/** Fetch the whole file; its length is told only where the server says it. */
async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the database cannot be fetched: ${response.status} ${response.statusText}`);
  const total = response.headers.has("Content-Encoding") ? 0 : Number(response.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  let told = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    received += value.length;
    if (received - told > 250_000) say("progress", { received, total });
    if (received - told > 250_000) told = received;
  }
}

/** Give the file's bytes, unpacked unless a server has done that already. */
async function unpacked(blob) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return new Uint8Array(await blob.arrayBuffer());
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function open(url) {
  const [engine, blob] = await Promise.all([start(), fetched(url)]);
  const bytes = await unpacked(blob);
  const { capi, wasm, oo1 } = engine;
  const held = wasm.allocFromTypedArray(bytes);
  const made = new oo1.DB(":memory:");
  const flags = capi.SQLITE_DESERIALIZE_FREEONCLOSE | capi.SQLITE_DESERIALIZE_READONLY;
  made.checkRc(capi.sqlite3_deserialize(made.pointer, "main", held, bytes.length, bytes.length, flags));
  capi.sqlite3_limit(made.pointer, capi.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
  capi.sqlite3_limit(made.pointer, capi.SQLITE_LIMIT_ATTACHED, 0);
  // One read, so that a file that is no database is told now.
  const tables = made.selectObjects(
    "SELECT s.name AS 'table', s.type, c.name AS 'column', c.type AS holds" +
      " FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS c" +
      " WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY s.name, c.cid",
  );
  [sqlite, db] = [engine, made];
  say("opened", { version: capi.sqlite3_libversion(), packed: blob.size, bytes: bytes.length, tables });
}

/** Compile one statement, and refuse a second one rather than leave it out in silence. */
function compiled(sql) {
  const statement = db.prepare(sql);
  const rest = sql.trimStart().slice(sqlite.capi.sqlite3_sql(statement.pointer).trimStart().length);
  if (rest.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, "").replace(/[\s;]+/g, "")) {
    statement.finalize();
    throw new Error("one statement at a time: there is more after the first");
  }
  return statement;
}

const parametersOf = (statement) =>
  Array.from({ length: statement.parameterCount }, (_, place) =>
    sqlite.capi.sqlite3_bind_parameter_name(statement.pointer, place + 1),
  );

/** Give what a message can carry: text as it is, and neither long integers nor bytes that JSON cannot hold. */
function plain(value) {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return { bytes: value.length, hex: hexOf(value) };
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value;
}

const hexOf = (bytes) => Array.from(bytes.slice(0, 1_000), (byte) => byte.toString(16).padStart(2, "0")).join("");

const weightOf = (value) => (typeof value === "string" ? value.length : 16);

function run({ id, sql, values, most }) {
  const begun = performance.now();
  const statement = compiled(sql);
  try {
    parametersOf(statement).forEach((name, place) => {
      if (name === null) throw new Error("name the values that a query asks for, such as :package");
      statement.bind(place + 1, values[name.slice(1)] ?? "");
    });
    const columns = statement.columnCount ? statement.getColumnNames([]) : [];
    const rows = [];
    let weight = 0;
    let more = false;
    while (statement.step()) {
      if (rows.length >= most || weight > MAX_ANSWER_CHARACTERS) {
        more = true;
        break;
      }
      const row = columns.map((_, place) => plain(statement.get(place)));
      weight += row.reduce((sum, value) => sum + weightOf(value), 0);
      rows.push(row);
    }
    say("rows", { id, columns, rows, more, ms: performance.now() - begun });
  } finally {
    statement.finalize();
  }
}

// SQLite's own words, without the name of its constant that the binding sets before them.
const worded = (error) => String(error?.message ?? error).replace(/^SQLITE_\w+: sqlite3 result code \d+: /, "");

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "open") await open(data.url);
    else run(data);
  } catch (error) {
    say("failed", { id: data.id ?? null, message: worded(error) });
  }
};
