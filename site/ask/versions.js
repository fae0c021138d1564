// Versions and version specifiers by PEP 440, as `packaging` reads them: what ppp.model.answers decides with.
// Versions of releases are in normal form; those of specifiers are as somebody typed them.

const PRE = "[-_.]?(?:alpha|beta|preview|pre|a|b|c|rc)[-_.]?[0-9]*";
const POST = "-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*";
const DEV = "[-_.]?dev[-_.]?[0-9]*";
const LOCAL = "\\+[a-z0-9]+(?:[-_.][a-z0-9]+)*";
const RELEASE = "v?(?:[0-9]+!)?[0-9]+";
const SUFFIXES = `(?:${PRE})?(?:${POST})?(?:${DEV})?`;
const MAX_VERSION_LENGTH = 128;

const VERSION = new RegExp(
  "^v?(?:([0-9]+)!)?([0-9]+(?:\\.[0-9]+)*)(?:[-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?([0-9]*))?" +
    `(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?(?:[-_.]?(dev)[-_.]?([0-9]*))?(?:(${LOCAL}))?$`,
  "i",
);
const SPECIFIER = new RegExp(
  `^\\s*(?:(===)\\s*([^\\s;)]+)|(==|!=)\\s*(${RELEASE}(?:\\.[0-9]+)*(?:\\.\\*|${SUFFIXES}(?:${LOCAL})?))` +
    `|(~=)\\s*(${RELEASE}(?:\\.[0-9]+)+${SUFFIXES})|(<=|>=|<|>)\\s*(${RELEASE}(?:\\.[0-9]+)*${SUFFIXES}))\\s*$`,
  "i",
);
const LETTERS = { alpha: "a", beta: "b", c: "rc", pre: "rc", preview: "rc" };

// Return the parts of a version, null for what is none. Numbers are BigInts: some have more digits than a double.
export function parseVersion(text) {
  const found = VERSION.exec(text.trim());
  if (!found) return null;
  const [, epoch, release, pre, preNumber, dash, post, postNumber, dev, devNumber, local] = found;
  return {
    epoch: BigInt(epoch ?? 0),
    release: release.split(".").map(BigInt),
    pre: pre && [LETTERS[pre.toLowerCase()] ?? pre.toLowerCase(), BigInt(preNumber || 0)],
    post: dash !== undefined ? BigInt(dash) : post && BigInt(postNumber || 0),
    dev: dev && BigInt(devNumber || 0),
    local: local && local.slice(1).toLowerCase().split(/[-_.]/),
  };
}

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function compareReleases(a, b) {
  for (let place = 0; place < Math.max(a.length, b.length); place += 1) {
    const difference = order(a[place] ?? 0n, b[place] ?? 0n);
    if (difference) return difference;
  }
  return 0;
}

// A development release comes before pre-releases, a final one after them; a post-release comes after its own.
const stage = ({ pre, post, dev }) => (pre ? 1 : post === undefined && dev !== undefined ? 0 : 2);

function compareOptional(a, b, missing) {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? missing : -missing;
  return order(a, b);
}

function compareLocal(a, b) {
  if (!a || !b) return order(Boolean(a), Boolean(b));
  for (let place = 0; place < Math.min(a.length, b.length); place += 1) {
    const [left, right] = [a[place], b[place]];
    const numbers = [/^\d+$/.test(left), /^\d+$/.test(right)];
    const difference = numbers[0] === numbers[1] ? order(...(numbers[0] ? [BigInt(left), BigInt(right)] : [left, right])) : numbers[0] ? 1 : -1;
    if (difference) return difference;
  }
  return order(a.length, b.length);
}

const sameRelease = (a, b) => a.epoch === b.epoch && compareReleases(a.release, b.release) === 0;

const comparePre = (a, b) => order(stage(a), stage(b)) || (a.pre && b.pre ? order(a.pre[0], b.pre[0]) || order(a.pre[1], b.pre[1]) : 0);

// Compare two versions without their local parts.
function comparePublic(a, b) {
  return (
    order(a.epoch, b.epoch) ||
    compareReleases(a.release, b.release) ||
    comparePre(a, b) ||
    compareOptional(a.post, b.post, -1) ||
    compareOptional(a.dev, b.dev, 1)
  );
}

export const compareVersions = (a, b) => comparePublic(a, b) || compareLocal(a.local, b.local);

export const isPrerelease = ({ pre, dev }) => pre !== undefined || dev !== undefined;

// Return a specifier as its operator and version, null for what is none.
export function parseSpecifier(text) {
  const found = SPECIFIER.exec(text);
  if (!found) return null;
  const [operator, version] = found.slice(1).filter((part) => part !== undefined);
  const prefix = version.endsWith(".*");
  return { operator, version, prefix, parsed: operator === "===" ? null : parseVersion(prefix ? version.slice(0, -2) : version) };
}

const firstOf = (version, release) => ({ epoch: version.epoch, release, dev: 0n });

// Return whether a version starts with the release of another: 1.2.3 with 1.2.
function hasPrefix(version, prefix, release) {
  const next = [...release.slice(0, -1), release.at(-1) + 1n];
  return comparePublic(version, firstOf(prefix, release)) >= 0 && comparePublic(version, firstOf(prefix, next)) < 0;
}

const MATCHES = {
  "==": (version, wanted) => (wanted.local ? compareVersions : comparePublic)(version, wanted) === 0,
  "!=": (version, wanted) => !MATCHES["=="](version, wanted),
  "<=": (version, wanted) => comparePublic(version, wanted) <= 0,
  ">=": (version, wanted) => comparePublic(version, wanted) >= 0,
  "~=": (version, wanted) => MATCHES[">="](version, wanted) && comparePublic(version, firstOf(wanted, upperOf(wanted))) < 0,
  // Not a post-release of the version, unless it is one itself.
  ">": (version, wanted) =>
    comparePublic(version, wanted) > 0 &&
    (wanted.dev !== undefined || wanted.post !== undefined || !sameRelease(version, wanted) || comparePre(version, wanted) !== 0),
  // Not a pre-release of the version, unless it is one itself.
  "<": (version, wanted) => comparePublic(version, isPrerelease(wanted) ? wanted : { ...wanted, dev: 0n }) < 0,
};

function upperOf({ release }) {
  const prefix = release.slice(0, -1);
  return [...prefix.slice(0, -1), prefix.at(-1) + 1n];
}

// Return whether a specifier allows a version, pre-releases included.
export function allows({ operator, version: text, prefix, parsed }, version) {
  if (operator === "===") return version.toLowerCase() === text.toLowerCase();
  const candidate = parseVersion(version);
  if (!candidate) return false;
  if (prefix) return hasPrefix(candidate, parsed, parsed.release) === (operator === "==");
  return MATCHES[operator](candidate, parsed);
}

// Return the parts of a list of specifiers, sorted and without duplicates; null where one is invalid or too long.
export function parseSpecifiers(text) {
  const parts = text.split(",").map((part) => part.trim());
  // As in PEP 508, one comma may follow the last.
  if (parts.length > 1 && parts.at(-1) === "") parts.pop();
  if (parts.length === 1 && parts[0] === "") return [];
  const found = parts.map(parseSpecifier);
  if (found.includes(null)) return null;
  const byText = new Map(found.map((each) => [each.operator + each.version, each]));
  return [...byText].sort(([a], [b]) => order(a, b)).map(([, each]) => each);
}

export const isTooLong = ({ version }) => version.length > MAX_VERSION_LENGTH;

export const specifiersText = (specifiers) => specifiers.map(({ operator, version }) => operator + version).join(",");

// Return the versions that all specifiers allow, in their order. Pre-releases are among them only where a specifier
// names one, or where nothing else is allowed.
export function filterVersions(specifiers, versions) {
  const allowed = versions.filter((version) => specifiers.every((each) => allows(each, version)));
  const named = specifiers.some(({ operator, prefix, parsed }) => operator !== "!=" && !prefix && parsed && isPrerelease(parsed));
  if (named) return allowed;
  const finals = allowed.filter((version) => !isPrerelease(parseVersion(version)));
  return finals.length ? finals : allowed;
}
