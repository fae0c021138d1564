// Text that strangers wrote, made fit for a page and for a spreadsheet; and what a query asks for. Nothing is touched.

/** Control, format (bidi marks, joiners), surrogate, private and unassigned characters, separators of lines. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
/** What a spreadsheet would take for a formula, at its beginning; the last four as wide letters have them. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

function escaped(character) {
  const code = character.codePointAt(0);
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Give text as it can be shown: at most so many of its characters, what could act or hide as its escape. */
export function shown(text, limit) {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
  return cut.replace(ACTIVE, escaped);
}

/** Give the names that a query asks values for, in their order; what stands in strings and comments asks for none. */
export function parametersIn(sql) {
  const bare = sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, " ");
  return [...new Set(Array.from(bare.matchAll(/[:@$]([A-Za-z_]\w*)/g), (found) => found[1]))];
}

function field(value) {
  if (value === null) return "";
  if (typeof value === "object") return `"${value.hex}"`;
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  // Where decimals have commas, semicolons or tabs part the fields: quoted, none begins another one.
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Give an answer as CSV (RFC 4180); text that a spreadsheet would run as a formula stands behind an apostrophe. */
export function csvOf({ columns, rows }) {
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** Give an answer as JSON: a list of objects, a second column of one name with its place; bytes as hex. */
export function jsonOf({ columns, rows }) {
  const names = columns.map((name, place) => (columns.indexOf(name) === place ? name : `${name}_${place + 1}`));
  const plain = (value) => (value !== null && typeof value === "object" ? value.hex : value);
  const objects = rows.map((row) => Object.fromEntries(row.map((value, place) => [names[place], plain(value)])));
  return `${JSON.stringify(objects, null, 1)}\n`;
}
