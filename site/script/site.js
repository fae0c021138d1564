// What the pages do where scripts run; all of it is there without, too. Search asks for the shard of what was typed,
// and a copy that has grown old says so. Everything is shown as text.

const ROOT = new URL(".", import.meta.url);
const STALE_AFTER_S = 3 * 86_400;
const SHOWN = 50;

async function json(path) {
  const answer = await fetch(new URL(path, ROOT));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

// ---- a copy that has grown old

async function tellAge() {
  const { as_of: asOf } = await json("api/v1/index.json");
  const age = Date.now() / 1000 - asOf;
  if (asOf === null || age < STALE_AFTER_S) return;
  const moment = new Date(asOf * 1000);
  const when = element("time", `${moment.toISOString().slice(0, 16).replace("T", " ")} UTC`, { dateTime: moment.toISOString() });
  const place = element("p", "", { id: "stale", className: "stale", role: "status" });
  document.querySelector("main").after(place);
  // What is filled after it came is read aloud.
  await new Promise(requestAnimationFrame);
  place.append("This copy ends at ", when, `, ${Math.floor(age / 86_400)} days ago. What was released since is not in it.`);
}

// ---- search

const shards = new Map();
let known;

function shard(prefix) {
  if (!shards.has(prefix)) shards.set(prefix, json(`search/${prefix}.json`));
  return shards.get(prefix);
}

// Names as the index normalizes them: Zope.Interface is zope-interface.
const normalized = (typed) => typed.trim().toLowerCase().replace(/[-_.\s]+/g, "-");

const fits = (name, wanted) => name.startsWith(wanted) || name.includes(`-${wanted}`);

// Gives the packages found, the best first, and whether more letters would find more.
async function find(wanted) {
  known ??= json("search.json").then((index) => new Set(index.prefixes));
  const start = wanted.slice(0, 2);
  if (!(await known).has(start)) return { rows: [], more: wanted.length < 2 };
  let held = await shard(start);
  while (held.below.length && wanted.length > held.prefix.length) {
    const longer = wanted.slice(0, held.prefix.length + 1);
    if (!held.below.includes(longer)) return { rows: [], more: false };
    held = await shard(longer);
  }
  const rank = ([name]) => (name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2);
  const rows = held.packages.filter(([name]) => fits(name, wanted));
  rows.sort((a, b) => rank(a) - rank(b) || (a[0] < b[0] ? -1 : 1));
  return { rows, more: held.below.length > 0 || wanted.length < 2 };
}

function found([name, version, passing, claimed]) {
  const item = element("li", "");
  const link = element("a", name, { href: new URL(`p/${name}/index.html`, ROOT).href });
  const said = claimed ? `${passing}/${claimed} environments` : "no verdict";
  item.append(link, " ", element("span", `${version}, ${said}`, { className: "quiet" }));
  return item;
}

function told({ rows, more }) {
  if (more && !rows.length) return "Type more letters.";
  const count = `${rows.length} package${rows.length === 1 ? "" : "s"}`;
  const cut = rows.length > SHOWN ? `, the first ${SHOWN} shown` : "";
  return `${count}${cut}${more ? "; more letters find more" : ""}.`;
}

function search(place) {
  const input = place.querySelector("input");
  const status = place.querySelector("[role=status]");
  const list = place.querySelector("ul");
  const links = () => [...list.querySelectorAll("a")];

  async function update() {
    const wanted = normalized(input.value);
    let answer = { rows: [], more: false };
    let said = "";
    if (wanted) {
      try {
        answer = await find(wanted);
        said = told(answer);
      } catch {
        said = "The list cannot be read just now; the pages by name can.";
      }
      // A slower answer to something typed before.
      if (wanted !== normalized(input.value)) return;
    }
    list.replaceChildren(...answer.rows.slice(0, SHOWN).map(found));
    status.textContent = said;
  }

  input.addEventListener("input", update);
  place.addEventListener("keydown", (event) => {
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
  place.hidden = false;
  if (input.value) update();
}

document.querySelectorAll("[role=search]").forEach(search);
// Opened from a disk, or without a network: the page stands as it is.
tellAge().catch(() => {});
