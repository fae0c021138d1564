// Environment markers by PEP 508, and whether a requirement applies in an environment: as in ppp/watch/markers.py.

import { allows, parseSpecifier } from "./versions.js";

const EVERYWHERE = { os_name: "posix", sys_platform: "linux", platform_system: "Linux", extra: "" };
// Only a running interpreter knows these; the values are for trying out a marker.
const OF_THE_INTERPRETER = {
  python_full_version: "3.12.0",
  platform_machine: "x86_64",
  platform_release: "6.1.0",
  platform_version: "#1 SMP",
  platform_python_implementation: "CPython",
  implementation_name: "cpython",
  implementation_version: "3.12.0",
};
const VERSIONS = new Set(["implementation_version", "platform_release", "python_full_version", "python_version"]);
const MAX_NESTING = 200;

const SPACE = /[ \t]*/y;
const VARIABLE =
  /(?:python_version|python_full_version|os[._]name|sys[._]platform|platform_(?:release|system)|platform[._](?:version|machine|python_implementation)|python_implementation|implementation_(?:name|version)|extras?|dependency_groups)\b/y;
const QUOTED = /'[^'\\]*'|"[^"\\]*"/y;
const OPERATOR = /===|==|~=|!=|<=|>=|<|>|in\b|not[ \t]+in\b/y;

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  // Return what an expression that is sticky finds here, and go on behind it; undefined if it finds nothing.
  take(expression) {
    expression.lastIndex = this.at;
    const found = expression.exec(this.text);
    if (!found) return undefined;
    this.at += found[0].length;
    return found[0];
  }

  expect(expression) {
    const found = this.take(expression);
    if (found === undefined) throw new SyntaxError("not a marker");
    return found;
  }
}

function variable(reader) {
  const name = reader.take(VARIABLE);
  if (name === undefined) return { literal: reader.expect(QUOTED).slice(1, -1) };
  const dotless = name.replace(".", "_");
  return { name: dotless === "python_implementation" ? "platform_python_implementation" : dotless };
}

function item(reader) {
  const left = variable(reader);
  reader.take(SPACE);
  const operator = reader.expect(OPERATOR).replace(/\s+/, " ");
  reader.take(SPACE);
  return { left, operator, right: variable(reader) };
}

function atom(reader, depth) {
  reader.take(SPACE);
  let found;
  if (reader.take(/\(/y) !== undefined) {
    if (depth >= MAX_NESTING) throw new SyntaxError("nested too deep");
    found = expression(reader, depth + 1);
    reader.expect(/\)/y);
  } else {
    found = item(reader);
  }
  reader.take(SPACE);
  return found;
}

// An expression is a list of groups, of which one must be true; a group is a list of parts that all must be.
function expression(reader, depth = 0) {
  const groups = [[atom(reader, depth)]];
  for (let word = reader.take(/(?:or|and)\b/y); word !== undefined; word = reader.take(/(?:or|and)\b/y)) {
    if (word === "or") groups.push([]);
    groups.at(-1).push(atom(reader, depth));
  }
  return groups;
}

// Return a marker; throw a SyntaxError for what is none.
export function parseMarker(text) {
  const reader = new Reader(text);
  const found = expression(reader);
  if (reader.at !== text.length) throw new SyntaxError("not a marker");
  return found;
}

const normalized = (name) => name.replace(/[-_.]+/g, "-").toLowerCase();

const quoted = (literal) => (literal.includes('"') ? `'${literal}'` : `"${literal}"`);

const side = ({ name, literal }, other) => name ?? quoted(other.name === "extra" ? normalized(literal) : literal);

// Return a marker as text, the same for markers that are written differently only.
export function markerText(groups, first = true) {
  const shown = groups.map((group) => group.map((part) => (Array.isArray(part) ? markerText(part, false) : `${side(part.left, part.right)} ${part.operator} ${side(part.right, part.left)}`)).join(" and "));
  if (groups.length === 1 && groups[0].length === 1) return shown[0];
  return first ? shown.join(" or ") : `(${shown.join(" or ")})`;
}

function valueOf(name, values) {
  // The keys are our own, so that `constructor` is no value.
  if (!Object.hasOwn(values, name)) throw new RangeError("a variable without a value");
  return values[name];
}

function holds({ left, operator, right }, values) {
  const key = left.name ?? right.name ?? right.literal;
  let [a, b] = left.name === undefined ? [left.literal, valueOf(key, values)] : [valueOf(key, values), right.literal ?? right.name];
  if (key === "extra" && left.name === undefined && right.name !== undefined) a = normalized(a);
  else if (key === "extra" && right.literal !== undefined) b = normalized(b);
  const specifier = VERSIONS.has(key) ? parseSpecifier(operator + b) : null;
  if (specifier) return allows(specifier, a);
  const compared = { "in": () => b.includes(a), "not in": () => !b.includes(a), "==": () => a === b, "<=": () => a === b, ">=": () => a === b, "!=": () => a !== b, "<": () => false, ">": () => false }[operator];
  if (!compared) throw new RangeError("a comparison without a value");
  return compared();
}

// All parts are evaluated, so that one without a value is found wherever it stands.
const evaluate = (groups, values) =>
  groups.map((group) => group.map((part) => (Array.isArray(part) ? evaluate(part, values) : holds(part, values))).every(Boolean)).some(Boolean);

// Return whether a marker has a value in every environment.
export function canBeEvaluated(marker) {
  try {
    evaluate(marker, { ...EVERYWHERE, ...OF_THE_INTERPRETER, python_version: "3.12" });
  } catch {
    return false;
  }
  return true;
}

const names = (groups) => groups.flat().flatMap((part) => (Array.isArray(part) ? names(part) : [part.left.name, part.right.name]));

// Return whether a requirement with this marker may be needed by a Python version: also where that is not known.
export function isNeeded(marker, python) {
  if (!marker || !python) return true;
  if (names(marker).some((name) => name !== undefined && Object.hasOwn(OF_THE_INTERPRETER, name))) return true;
  return evaluate(marker, { ...OF_THE_INTERPRETER, ...EVERYWHERE, python_version: python });
}
