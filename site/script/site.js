// Optional features of the pages: package search, and a notice when the data is old. Pages work without this script.
// Everything is inserted as text, never as HTML.

const ROOT = new URL(".", import.meta.url);
const STALE_AFTER_S = 3 * 86_400;
const MAX_RESULTS = 50;

async function json(path) {
  const response = await fetch(new URL(path, ROOT));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

// ---- notice of old data

async function showAge() {
  const { as_of: asOf } = await json("api/v1/index.json");
  const age = Date.now() / 1000 - asOf;
  if (asOf === null || age < STALE_AFTER_S || dismissed() === String(asOf)) return;
  const moment = new Date(asOf * 1000);
  const when = element("time", `${moment.toISOString().slice(0, 16).replace("T", " ")} UTC`, { dateTime: moment.toISOString() });
  const notice = element("div", "", { id: "stale", className: "stale" });
  const said = element("p", "", { role: "status" });
  const button = element("button", "Dismiss", { type: "button" });
  button.addEventListener("click", () => {
    dismiss(asOf);
    notice.remove();
  });
  notice.append(said, button);
  document.querySelector("main").after(notice);
  // Screen readers announce a status only if its content changes after it was inserted.
  await new Promise(requestAnimationFrame);
  said.append("This data ends at ", when, `, ${Math.floor(age / 86_400)} days ago.`, element("span", " Later releases are not included."));
}

// A notice that was dismissed stays away until there is other data that has grown old. A browser may refuse to store.
const DISMISSED = "ppp-stale-dismissed";

function dismissed() {
  try {
    return localStorage.getItem(DISMISSED);
  } catch {
    return null;
  }
}

function dismiss(asOf) {
  try {
    localStorage.setItem(DISMISSED, String(asOf));
  } catch {
    // It comes back on the next page.
  }
}

// ---- search

const shards = new Map();
let index;

function shard(prefix) {
  if (!shards.has(prefix)) shards.set(prefix, json(`search/${prefix}.json`));
  return shards.get(prefix);
}

// Normalize names as package indexes do: Zope.Interface becomes zope-interface.
const normalized = (typed) => typed.trim().toLowerCase().replace(/[-_.\s]+/g, "-");

const matches = (name, wanted) => name.startsWith(wanted) || name.includes(`-${wanted}`);

// Return the matching packages, best first, and whether a longer query would find more.
async function find(wanted) {
  index ??= json("search.json").then(({ prefixes, lookup }) => ({ known: new Set(prefixes), lookup }));
  const { lookup } = await index;
  const [found, looked] = await Promise.all([findWithPages(wanted), lookup ? lookUp(wanted) : []]);
  const others = looked.filter(([name]) => found.rows.every(([each]) => each !== name));
  return { ...found, rows: [...others, ...found.rows], byName: lookup };
}

// Where not every package has a page, any is found by its whole name.
async function lookUp(wanted) {
  const { lookUp: ask, searchRow, pageOf } = await import("./lookup.js");
  const found = await ask(wanted);
  return found && !found.hasPage ? [Object.assign(searchRow(found), { page: pageOf(found) })] : [];
}

async function findWithPages(wanted) {
  const { known } = await index;
  const start = wanted.slice(0, 2);
  if (!known.has(start)) return { rows: [], more: wanted.length < 2 };
  let current = await shard(start);
  while (current.below.length && wanted.length > current.prefix.length) {
    const longer = wanted.slice(0, current.prefix.length + 1);
    if (!current.below.includes(longer)) return { rows: [], more: false };
    current = await shard(longer);
  }
  const rank = ([name]) => (name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2);
  const rows = current.packages.filter(([name]) => matches(name, wanted));
  // The most downloaded first, where that is known.
  const downloads = (row) => row[5] ?? -1;
  rows.sort((a, b) => rank(a) - rank(b) || downloads(b) - downloads(a) || (a[0] < b[0] ? -1 : 1));
  return { rows, more: current.below.length > 0 || wanted.length < 2 };
}

function listItem(row) {
  const [name, version, passing, claimed, installedOnly = 0] = row;
  const item = element("li", "");
  const link = element("a", name, { href: row.page ?? new URL(`p/${name}/index.html`, ROOT).href });
  const apart = installedOnly ? `, ${installedOnly} with nothing to import` : "";
  const summary = claimed ? `${passing}/${claimed} environments${apart}` : "no verdict";
  item.append(link, " ", element("span", `${version}, ${summary}`, { className: "quiet" }));
  return item;
}

function statusText({ rows, more, byName }) {
  if (byName) return `${words({ rows, more })} Packages without a page are found by their whole name.`;
  return words({ rows, more });
}

function words({ rows, more }) {
  if (more && !rows.length) return "Type more letters.";
  const count = `${rows.length} package${rows.length === 1 ? "" : "s"}`;
  const limit = rows.length > MAX_RESULTS ? `, the first ${MAX_RESULTS} shown` : "";
  return `${count}${limit}${more ? "; type more letters for more" : ""}.`;
}

// ---- requirements: more than a name leads to the page that answers them, with nothing sent to any server

const ASK = new URL("ask/index.html", ROOT).href;
const MAX_LINK = 2_000;

const isRequirement = (typed) => /[=<>~!;@[(]/.test(typed);

// What stands in an address behind # is not sent; what is too long for that is kept by the browser until it is read.
function askAbout(text) {
  const encoded = encodeURIComponent(text);
  if (encoded.length <= MAX_LINK) return `${ASK}#r=${encoded}`;
  try {
    sessionStorage.setItem("ppp-ask", text);
  } catch {
    return ASK;
  }
  return `${ASK}#pasted`;
}

function requirementItem(typed) {
  const item = element("li", "");
  item.append(element("a", `Ask about ${typed.trim()}`, { href: askAbout(typed.trim()) }), element("span", " in all environments", { className: "quiet" }));
  return item;
}

function search(box) {
  const input = box.querySelector("input");
  // What is said of a name that was not checked stands below the box.
  const missing = element("div", "", { className: "absent" });
  box.after(missing);
  const status = box.querySelector("[role=status]");
  const list = box.querySelector("ul");
  const links = () => [...list.querySelectorAll("a")];

  async function update() {
    if (isRequirement(input.value)) {
      list.replaceChildren(requirementItem(input.value));
      missing.replaceChildren();
      status.textContent = "Enter answers it.";
      return;
    }
    const wanted = normalized(input.value);
    let result = { rows: [], more: false };
    let message = "";
    let absence = [];
    if (wanted) {
      try {
        result = await find(wanted);
        message = statusText(result);
        if (!result.rows.length && !result.more) {
          message = "Not checked.";
          absence = await import("./near.js").then(({ absent }) => absent(wanted));
        }
      } catch {
        message = "Search is unavailable right now. Browse the packages by name instead.";
      }
      // Ignore a late response to an earlier query.
      if (wanted !== normalized(input.value) || isRequirement(input.value)) return;
    }
    list.replaceChildren(...result.rows.slice(0, MAX_RESULTS).map(listItem));
    missing.replaceChildren(...absence);
    status.textContent = message;
  }

  input.addEventListener("input", update);
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text").trim();
    if (!text.includes("\n")) return;
    // The box has one line only.
    event.preventDefault();
    location.href = askAbout(text);
  });
  box.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      (to < 0 ? input : all[Math.min(to, all.length - 1)])?.focus();
    } else if (event.key === "Escape") {
      input.value = "";
      input.focus();
      update();
    } else if (event.key === "Enter" && document.activeElement === input) {
      all[0]?.click();
    }
  });
  box.hidden = false;
  if (input.value) update();
}

// ---- filters of the rows that a table shows: by environment, by result there, and by cause

const MAX_CAUSES = 8;
const unique = (values) => [...new Set(values)];

// Return what each row can be filtered by; a cell without an environment stands for all of them.
function filterable(row) {
  const cells = [...row.querySelectorAll("td[data-e]:not(.none)")].map((cell) => ({ environment: cell.dataset.e, result: cell.className }));
  return { row, cells, causes: [...row.querySelectorAll(".why .cause")].map((cause) => cause.textContent) };
}

const shows = ({ cells, causes }, { environment, result, cause }) =>
  (!cause || causes.includes(cause)) &&
  cells.some((cell) => (!environment || !cell.environment || cell.environment === environment) && (!result || cell.result === result));

function filterButtons(title, values, chosen, choose) {
  const group = element("div", "", { role: "group", ariaLabel: title });
  for (const value of values) {
    const button = element("button", value, { type: "button", ariaPressed: String(chosen === value) });
    button.addEventListener("click", () => choose(chosen === value ? "" : value, value));
    group.append(button);
  }
  return group;
}

function filters(box) {
  const rows = [...document.querySelectorAll(`#${box.dataset.filters} tbody tr`)].map(filterable);
  const status = element("div", "", { role: "status" });
  const counted = rows.flatMap(({ causes }) => causes).reduce((counts, cause) => counts.set(cause, (counts.get(cause) ?? 0) + 1), new Map());
  const values = {
    environment: unique(rows.flatMap(({ cells }) => cells.map(({ environment }) => environment)).filter(Boolean)),
    result: unique(rows.flatMap(({ cells }) => cells.map(({ result }) => result))),
    cause: [...counted].sort((a, b) => b[1] - a[1]).slice(0, MAX_CAUSES).map(([cause]) => cause),
  };
  const chosen = { environment: "", result: "", cause: "" };

  function show(focused) {
    const found = rows.filter((each) => shows(each, chosen));
    rows.forEach((each) => {
      each.row.hidden = !found.includes(each);
    });
    const groups = Object.entries(values).map(([kind, each]) =>
      filterButtons(kind, each, chosen[kind], (value, pressed) => {
        chosen[kind] = value;
        show(pressed);
      }),
    );
    box.replaceChildren(status, ...groups);
    const any = Object.values(chosen).some(Boolean);
    status.textContent = any ? `${found.length} of the ${rows.length} packages in this table` : "";
    // What was pressed is replaced: its successor keeps the focus.
    [...box.querySelectorAll("button")].find(({ textContent }) => textContent === focused)?.focus();
  }

  if (rows.length < 2) return;
  show(null);
  box.hidden = false;
}

document.querySelectorAll("[data-filters]").forEach(filters);
document.querySelectorAll("[role=search]").forEach(search);
// Without a network, or opened from disk: leave the page as it is.
showAge().catch(() => {});
