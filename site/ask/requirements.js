// Requirements as somebody pastes them: lines of a requirements file, or a pylock.toml. The same rules as in
// ppp/watch/watchlist.py and ppp/watch/pylock.py, but what can be read is answered also where other lines cannot be.

import { canBeEvaluated, markerText, parseMarker } from "./markers.js";
import { isTooLong, parseSpecifiers, specifiersText } from "./versions.js";

export const MAX_CHARACTERS = 1_000_000;
export const MAX_PACKAGES = 2_000;
const MAX_NAME_LENGTH = 214;
const MAX_QUOTED = 80;

const IGNORED = new Set(["--require-hashes", "--pre", "--prefer-binary", "--only-binary", "--no-binary", "--use-feature"]);
const ONE_INDEX = "only one index is used here";
const OF_THE_INDEX = "only releases of the index are checked";
const REFUSED = {
  "-r": "paste that file's lines here too",
  "-c": "write the constraint after the package, as in six==1.17.0",
  "-e": `${OF_THE_INDEX}: write its name`,
  "-i": ONE_INDEX,
  "--extra-index-url": ONE_INDEX,
  "-f": OF_THE_INDEX,
  "--no-index": OF_THE_INDEX,
};
const LONG = { "--requirement": "-r", "--constraint": "-c", "--editable": "-e", "--index-url": "-i", "--find-links": "-f" };
const NAME = /^[ \t]*([a-zA-Z0-9][a-zA-Z0-9._-]*)(?<=[a-zA-Z0-9_])[ \t]*/;
const EXTRAS = /^\[[ \t]*(?:[a-zA-Z0-9][\w.-]*(?:[ \t]*,[ \t]*[a-zA-Z0-9][\w.-]*)*)?[ \t]*\][ \t]*/;

class Mistake extends Error {}

const mistake = (line, what, hint) => new Mistake(`“${line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line}” ${what}: ${hint}`);

// Normalize names as package indexes do: Zope.Interface becomes zope-interface.
export const normalizedName = (name) => name.replace(/[-_.]+/g, "-").toLowerCase();

function* logicalLines(text) {
  let [start, pending] = [0, ""];
  const whole = (line) => line.replace(/(?:^|\s)#[^]*$/, "").trim();
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    const comment = line.trimStart().startsWith("#");
    start ||= index + 1;
    if (line.endsWith("\\") && !comment) {
      pending += line.slice(0, -1);
      continue;
    }
    const joined = whole(comment ? `${pending} ${line}` : pending + line);
    if (joined) yield [start, joined];
    [start, pending] = [0, ""];
  }
  if (whole(pending)) yield [start, whole(pending)];
}

// Return the parts of a requirement, null for what is none; a URL is only told from the rest.
function requirement(text) {
  const [start, name] = NAME.exec(text) ?? [];
  if (name === undefined) return null;
  let rest = text.slice(start.length);
  const extras = EXTRAS.exec(rest)?.[0] ?? "";
  rest = rest.slice(extras.length);
  if (rest.startsWith("@")) return /^@[ \t]*\S+(?:[ \t]+;|[ \t]*$)/.test(rest) ? { name, url: true } : null;
  const bracketed = /^\(([^)]*)\)[ \t]*/.exec(rest);
  const [taken, listed] = bracketed ?? /^([^;)]*)/.exec(rest);
  const specifiers = parseSpecifiers(listed);
  rest = rest.slice(taken.length);
  if (!specifiers || (rest && !rest.startsWith(";"))) return null;
  try {
    return { name, hasExtras: /\w/.test(extras), specifiers, marker: rest ? parseMarker(rest.slice(1)) : null };
  } catch {
    return null;
  }
}

function ignoredOption(line) {
  const found = /^--?[a-z][a-z-]*/.exec(line)?.[0] ?? line;
  const name = LONG[found] ?? (found.startsWith("--") ? found : found.slice(0, 2));
  if (IGNORED.has(name)) return `ignored ${name}`;
  throw mistake(line, "is an option", REFUSED[name] ?? "a list holds packages only");
}

function parseLine(line, number) {
  if (line.startsWith("-")) return [null, ignoredOption(line)];
  const bare = line.replace(/\s--hash[=\s]\s*\S+/g, "");
  const found = requirement(bare);
  if (!found && /^\.|^file:|\//.test(bare)) throw mistake(line, "is a path or a URL", REFUSED["-e"]);
  if (!found) throw mistake(line, "is not a requirement", "write a name, or one with a version: six==1.17.0");
  const { name, url, specifiers, marker, hasExtras } = found;
  if (/\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)$/i.test(name)) throw mistake(line, "is a path or a URL", REFUSED["-e"]);
  if (url) throw mistake(line, "is a URL", `${OF_THE_INDEX}: write ${name}`);
  const entry = madeEntry(name, specifiers, marker, number, line);
  if (marker && !canBeEvaluated(marker)) throw mistake(line, "has a marker without a value", "compare variables of an environment, as in PEP 508");
  return [entry, hasExtras ? `dropped the extras of ${entry.package}` : ""];
}

function madeEntry(name, specifiers, marker, line, quoted) {
  if (specifiers.some(isTooLong)) throw mistake(quoted, "names a version that is too long", "use a version such as 1.17.0");
  const normal = normalizedName(name);
  if (name.length > MAX_NAME_LENGTH || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(normal)) {
    throw mistake(quoted, "is not a package name", "use letters, digits, '.', '-' and '_'");
  }
  return { package: normal, specifiers, requirement: normal + specifiersText(specifiers), marker, line };
}

function collected(parts) {
  const entries = new Map();
  const [notes, mistakes] = [[], []];
  for (const [number, parse] of parts) {
    try {
      const [entry, note] = parse();
      if (entry) {
        const key = JSON.stringify([entry.requirement, entry.marker && markerText(entry.marker)]);
        if (!entries.has(key)) entries.set(key, entry);
      }
      if (note) notes.push(`line ${number}: ${note}`);
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      mistakes.push(`line ${number}: ${error.message}`);
    }
  }
  return { entries: [...entries.values()], notes, mistakes };
}

// ---- pylock.toml: the names, versions and markers of its packages; nothing else in it is read

const isLock = (text) => /^\s*lock-version\s*=/m.test(text) && /^\s*\[\[packages\]\]/m.test(text);

function* lockedPackages(text) {
  let found = null;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*\[/.test(line)) {
      if (found) yield found;
      found = /^\s*\[\[\s*packages\s*\]\]/.test(line) ? { line: index + 1 } : null;
    }
    const [, key, value] = /^\s*(name|version|marker)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*(?:#.*)?$/.exec(line) ?? [];
    if (found && key) found[key] ??= value;
  }
  if (found) yield found;
}

function lockedEntry({ name, version, marker, line }) {
  try {
    const [named, pinned, where] = [name, version, marker].map((value) => value && (value.startsWith('"') ? JSON.parse(value) : value.slice(1, -1)));
    if (!named) throw new SyntaxError("no name");
    if (!pinned) return [null, `left out ${named}, because the lock gives no version`];
    // A marker that asks for an extra or a group of the lock has no value here: the package counts as needed.
    const parsed = where ? parseMarker(where) : null;
    return [madeEntry(named, parseSpecifiers(`==${pinned}`) ?? [], parsed && canBeEvaluated(parsed) ? parsed : null, line, named), ""];
  } catch (error) {
    if (error instanceof Mistake) throw error;
    throw mistake(name ?? "a package", "cannot be read", "make the lock again with the tool that wrote it");
  }
}

// Return what a text asks about, notes on what was dropped, and its mistakes, each with its line.
export function parseRequirements(text) {
  const whole = text.replace(/^\ufeff/, "");
  if (isLock(whole)) return collected([...lockedPackages(whole)].map((one) => [one.line, () => lockedEntry(one)]));
  return collected([...logicalLines(whole)].map(([number, line]) => [number, () => parseLine(line, number)]));
}
