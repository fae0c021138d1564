// SQLite on one in-memory file, in a worker: the page terminates it to cancel a long query. The database is read-only,
// and the size of values and results is limited.

import start from "./sqlite3.js";

const MAX_VALUE_BYTES = 2_000_000;
const MAX_RESULT_CHARACTERS = 64_000_000;

// Without this, SQLite looks for browser file systems and warns that there are none.
const disabled = { kvvfs: true, opfs: true, "opfs-vfs": true, "opfs-sahpool": true, "opfs-wl": true };
globalThis.sqlite3ApiConfig = { disable: { vfs: disabled }, warn: () => {} };

let sqlite = null;
let db = null;

const send = (kind, fields, transfer = []) => self.postMessage({ kind, ...fields }, transfer);

/** Download the whole file, reporting progress; the total is known only if the server sends it. */
async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the database cannot be downloaded: ${response.status} ${response.statusText}`);
  const total = response.headers.has("Content-Encoding") ? 0 : Number(response.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  let reported = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    received += value.length;
    if (received - reported > 250_000) send("progress", { received, total });
    if (received - reported > 250_000) reported = received;
  }
}

/** Return the file's bytes, decompressed unless the server has done so already. */
async function decompress(blob) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return new Uint8Array(await blob.arrayBuffer());
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function open(url) {
  const [engine, blob] = await Promise.all([start(), download(url)]);
  const bytes = await decompress(blob);
  const { capi, wasm, oo1 } = engine;
  const pointer = wasm.allocFromTypedArray(bytes);
  const opened = new oo1.DB(":memory:");
  const flags = capi.SQLITE_DESERIALIZE_FREEONCLOSE | capi.SQLITE_DESERIALIZE_READONLY;
  opened.checkRc(capi.sqlite3_deserialize(opened.pointer, "main", pointer, bytes.length, bytes.length, flags));
  capi.sqlite3_limit(opened.pointer, capi.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
  capi.sqlite3_limit(opened.pointer, capi.SQLITE_LIMIT_ATTACHED, 0);
  // Read the schema now, so that a file that is not a database fails here.
  const tables = opened.selectObjects(
    "SELECT s.name AS 'table', s.type, c.name AS 'column', c.type AS holds" +
      " FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS c" +
      " WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY s.name, c.cid",
  );
  [sqlite, db] = [engine, opened];
  send("opened", { version: capi.sqlite3_libversion(), packed: blob.size, bytes: bytes.length, tables });
}

/** Compile one statement; throw if another one follows, rather than silently ignore it. */
function compile(sql) {
  const statement = db.prepare(sql);
  const rest = sql.trimStart().slice(sqlite.capi.sqlite3_sql(statement.pointer).trimStart().length);
  if (rest.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, "").replace(/[\s;]+/g, "")) {
    statement.finalize();
    throw new Error("only one statement at a time is allowed");
  }
  return statement;
}

const parametersOf = (statement) =>
  Array.from({ length: statement.parameterCount }, (_, place) =>
    sqlite.capi.sqlite3_bind_parameter_name(statement.pointer, place + 1),
  );

/** Convert a value for a message: integers beyond 2^53 and non-finite numbers become text, bytes become hex. */
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
  const statement = compile(sql);
  try {
    parametersOf(statement).forEach((name, place) => {
      if (name === null) throw new Error("parameters must be named, such as :package");
      statement.bind(place + 1, values[name.slice(1)] ?? "");
    });
    const columns = statement.columnCount ? statement.getColumnNames([]) : [];
    const rows = [];
    let weight = 0;
    let more = false;
    while (statement.step()) {
      if (rows.length >= most || weight > MAX_RESULT_CHARACTERS) {
        more = true;
        break;
      }
      const row = columns.map((_, place) => plain(statement.get(place)));
      weight += row.reduce((sum, value) => sum + weightOf(value), 0);
      rows.push(row);
    }
    send("rows", { id, columns, rows, more, ms: performance.now() - begun });
  } finally {
    statement.finalize();
  }
}

// SQLite's message, without the prefix that the binding adds.
const messageOf = (error) => String(error?.message ?? error).replace(/^SQLITE_\w+: sqlite3 result code \d+: /, "");

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "open") await open(data.url);
    else run(data);
  } catch (error) {
    send("failed", { id: data.id ?? null, message: messageOf(error) });
  }
};
