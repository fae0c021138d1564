// What is said of a package that was not checked: that this says nothing about it, which names are near, how to ask for it
// and how to check it oneself. Everything is inserted as text. The rule is that of `ppp/model/near_names.py`.

const ROOT = new URL(".", import.meta.url);
const MAX_NEAR = 6;
const MIN_CONTAINED = 3;
const SHORT = 5;
const MAX_FILES = 12;
// What a name may have before, or lack.
const AFFIXES = ["py", "python-"];

// How many letters to insert, remove, replace or swap with the next make one text the other; null if more than `bound`.
function editDistance(one, other, bound) {
  if (Math.abs(one.length - other.length) > bound) return null;
  let [last, before, row] = [[], [], Array.from({ length: other.length + 1 }, (_, at) => at)];
  for (let place = 1; place <= one.length; place += 1) {
    [last, before, row] = [before, row, [place]];
    for (let at = 1; at <= other.length; at += 1) {
      let cost = Math.min(row[at - 1] + 1, before[at] + 1, before[at - 1] + (one[place - 1] !== other[at - 1]));
      if (place > 1 && at > 1 && one[place - 1] === other[at - 2] && other[at - 1] === one[place - 2]) {
        cost = Math.min(cost, last[at - 2] + 1);
      }
      row.push(cost);
    }
    if (Math.min(...row) > bound) return null;
  }
  return row.at(-1) <= bound ? row.at(-1) : null;
}

// Return the names that are near a normalized one, the nearest first.
export function nearNames(typed, names) {
  const wanted = typed.replaceAll("-", "");
  const bound = wanted.length < SHORT ? 1 : 2;
  const found = new Map();
  for (const name of names) {
    if (name === typed) continue;
    const plain = name.replaceAll("-", "");
    const distance = editDistance(wanted, plain, bound);
    if (distance !== null && distance < wanted.length) found.set(name, distance);
    else if (wanted.length >= MIN_CONTAINED && plain.includes(wanted)) found.set(name, bound + 1);
  }
  const order = ([a, near], [b, nearer]) => near - nearer || a.length - b.length || (a < b ? -1 : 1);
  return [...found].sort(order).slice(0, MAX_NEAR).map(([name]) => name);
}

// The beginnings under which a name that is near may be found: as typed, and with the usual mistakes in its first letters.
export function beginnings(typed) {
  const swapped = typed.slice(1, 2) + typed.slice(0, 1) + typed.slice(2);
  const without = AFFIXES.filter((affix) => typed.startsWith(affix)).map((affix) => typed.slice(affix.length));
  const all = [typed, ...AFFIXES.map((affix) => affix + typed), ...without, swapped, typed.slice(1), typed.slice(0, 1) + typed.slice(2)];
  return [...new Set(all.map((each) => each.replace(/^-+/, "")).filter(Boolean))];
}

async function json(path) {
  const response = await fetch(new URL(path, ROOT));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

let index;
const searchIndex = () => (index ??= json("search.json"));

// Where not every package has a page, all are looked up.
async function pageOf(name) {
  const { lookup } = await searchIndex();
  return new URL(lookup ? `lookup/index.html?name=${name}` : `p/${name}/index.html`, ROOT).href;
}

// Return the names in the search files that one near a name may be in; each is followed to the longest prefix.
async function candidates(typed) {
  const { prefixes } = await searchIndex();
  const known = new Set(prefixes);
  const names = new Set();
  const read = new Set();
  for (const start of beginnings(typed)) {
    let prefix = known.has(start.slice(0, 2)) ? start.slice(0, 2) : known.has(start.slice(0, 1)) ? start.slice(0, 1) : null;
    while (prefix && !read.has(prefix) && read.size < MAX_FILES) {
      read.add(prefix);
      const { packages, below } = await json(`search/${prefix}.json`);
      packages.forEach(([name]) => names.add(name));
      const longer = start.slice(0, prefix.length + 1);
      prefix = below.includes(longer) && longer !== prefix ? longer : null;
    }
  }
  return names;
}

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

const isName = (name) => /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) && name.length <= 214;

// Return what is shown of a name that no checked package has; `name` is normalized.
export async function absent(name) {
  if (!isName(name)) return [element("p", "That is not a package's name: names have letters, digits, hyphens, dots and underscores.")];
  const said = element("p", "", { className: "lede" });
  said.append(element("strong", name), " has not been checked: that says nothing about it.");
  const parts = [said];
  // Without them the rest is still worth showing.
  const near = nearNames(name, await candidates(name).catch(() => []));
  if (near.length) {
    const line = element("p", "Names near it: ");
    const links = await Promise.all(near.map(async (each) => element("a", each, { href: await pageOf(each) })));
    links.forEach((link, place) => line.append(place ? ", " : "", link));
    parts.push(line);
  }
  const module = name.replaceAll("-", "_");
  const check = [
    `scripts/nox -s "check(py312-slim)" -- ${name}`,
    `docker run --rm python:3.12-slim sh -c 'pip install ${name} && python -c "import ${module}"'`,
  ];
  parts.push(
    element("p", "To check it yourself, with this project or with nothing of ours (if its module has that name):"),
    element("pre", check.join("\n"), { className: "command", tabIndex: 0 }),
    element("p", "To have a node check it in every environment and publish what it finds:"),
    element("pre", `ppp run --package ${name}\nppp publish`, { className: "command", tabIndex: 0 }),
  );
  return parts;
}

// Return what is shown of a package that was checked and has no page, null if it was not checked.
async function withoutPage(name) {
  const { lookup } = await searchIndex();
  if (!lookup) return null;
  const { lookUp } = await import("./lookup.js");
  if (!(await lookUp(name))) return null;
  const line = element("p", "", { className: "lede" });
  line.append(element("strong", name), " has no page of its own here. ", element("a", "Its results", { href: await pageOf(name) }));
  return [line];
}

// Where nobody has said the site's address, links begin at the host's root; the site may be below it, as this script is.
function leadToSite() {
  for (const link of document.querySelectorAll('a[href^="/"]')) {
    link.href = new URL(link.getAttribute("href").slice(1), ROOT).href;
  }
}

// On the page that stands for one that is not there: the name in an address such as /p/django/index.html.
async function start(section) {
  const [, path] = location.pathname.split(new URL("p/", ROOT).pathname);
  const typed = path === undefined ? "" : decodeURIComponent(path.split("/")[0]);
  const name = typed.trim().toLowerCase().replace(/[-_.\s]+/g, "-");
  if (!name) return;
  section.replaceChildren(...((await withoutPage(name)) ?? (await absent(name))));
  section.hidden = false;
  document.title = `${name} · The PyPI Place`;
}

const section = document.querySelector("#absent");
if (section?.dataset.root === "unknown") leadToSite();
if (section) start(section).catch(() => {});
