// Pure functions: escaping of untrusted text for pages and spreadsheets, and the parameters of a query.

/** Control, format (bidi marks, joiners), surrogate, private-use and unassigned characters, line separators. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
/** The first character of what a spreadsheet would treat as a formula; the last four are full-width forms. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

function escaped(character) {
  const code = character.codePointAt(0);
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Return text cut to `limit` characters, with control and invisible characters escaped. */
export function shown(text, limit) {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
  return cut.replace(ACTIVE, escaped);
}

/** Return the names of the parameters of a query, in order; strings and comments are ignored. */
export function parametersIn(sql) {
  const bare = sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, " ");
  return [...new Set(Array.from(bare.matchAll(/[:@$]([A-Za-z_]\w*)/g), (found) => found[1]))];
}

function field(value) {
  if (value === null) return "";
  if (typeof value === "object") return `"${value.hex}"`;
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  // Quote semicolons and tabs as well: some locales use them to separate fields.
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Return a result as CSV (RFC 4180); text that a spreadsheet would run as a formula is prefixed with an apostrophe. */
export function csvOf({ columns, rows }) {
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** Return a result as a JSON list of objects; a repeated column name gets its position appended, bytes become hex. */
export function jsonOf({ columns, rows }) {
  const names = columns.map((name, place) => (columns.indexOf(name) === place ? name : `${name}_${place + 1}`));
  const plain = (value) => (value !== null && typeof value === "object" ? value.hex : value);
  const objects = rows.map((row) => Object.fromEntries(row.map((value, place) => [names[place], plain(value)])));
  return `${JSON.stringify(objects, null, 1)}\n`;
}
