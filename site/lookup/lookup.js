// Answer for any package from one small file: on the lookup page, and for the search box when a whole name is typed.
// Everything is inserted as text, never as HTML. `api/v1/lookup/` is described by schemas/lookup-shard.schema.json.

const ROOT = new URL(".", import.meta.url);
const SHARDS = 2_048;
const PHASES = { nodeps: "install alone", full: "install with dependencies" };

// Normalize names as package indexes do: Zope.Interface becomes zope-interface.
const normalized = (typed) => typed.trim().toLowerCase().replace(/[-_.\s]+/g, "-").slice(0, 214);

// The CRC-32 of gzip and PNG. Browsers have cryptographic digests too, but on https pages only.
function crc32(name) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(name)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 && 0xedb88320);
  }
  return ~crc >>> 0;
}

const shardOf = (name) => (crc32(name) % SHARDS).toString(16).padStart(3, "0");

const shards = new Map();

function shard(name) {
  if (!shards.has(name)) {
    const asked = fetch(new URL(`api/v1/lookup/${name}.json`, ROOT)).then((response) => {
      // No file: no package has come into it.
      if (response.status === 404) return { packages: [] };
      if (!response.ok) throw new Error(`${name}: ${response.status}`);
      return response.json();
    });
    asked.catch(() => shards.delete(name));
    shards.set(name, asked);
  }
  return shards.get(name);
}

// Return what is known of a package, null if nothing is; throws where its file cannot be read.
export async function lookUp(typed) {
  const name = normalized(typed);
  const found = await shard(shardOf(name));
  const row = found.packages.find(([each]) => each === name);
  if (!row) return null;
  const [, version, hasPage, newest, cells, standins = [], other = null] = row;
  return {
    name,
    version,
    hasPage: hasPage === 1,
    asOf: newest,
    notice: other && indexNotice(...other),
    cells: cells.map(([environment, shown, age, cause, phase, blame, passed]) => ({
      environment: found.environments[environment],
      standin: standins.includes(environment),
      shown: found.shown[shown],
      observedAt: newest - age,
      cause: found.causes[cause],
      phase: found.phases[phase],
      blame: found.blames[blame],
      passed,
    })),
  };
}

// The sentence of `ppp/model/standing.py` on the index's newest version, where that is another one.
const indexNotice = (newest, isChecked) => `PyPI's newest is ${newest}: ${isChecked ? "checked, too" : "not checked yet"}.`;

// Return the paragraph that says which cells ran on a stand-in, null if none did: once a page.
function standinNote(environments) {
  if (!environments.length) return null;
  const note = element("p", "", { className: "note" });
  note.append(element("b", "stand-in", { className: "standin" }), " ");
  environments.forEach((environment, place) => note.append(place ? ", " : "", element("code", environment)));
  note.append(": ran on substitutes for the official images.");
  return note;
}

// Return a package as a row of a search file: name, version, passing, claimed, and those with nothing to import.
export function searchRow({ name, version, cells }) {
  const count = (...words) => cells.filter(({ shown }) => words.includes(shown)).length;
  return [name, version, count("PASS", "installed"), cells.length - count("NA", "ERROR"), count("installed")];
}

export const pageOf = ({ name, hasPage }) =>
  new URL(hasPage ? `p/${name}/index.html` : `lookup/index.html?name=${encodeURIComponent(name)}`, ROOT).href;

// Return a word as a shell takes it; no name or version has a quote.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "")}'`);

// ---- the page

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

function link(text, path) {
  return element("a", text, { href: new URL(path, ROOT).href });
}

function moment(seconds) {
  const iso = new Date(seconds * 1000).toISOString();
  return element("time", `${iso.slice(0, 16).replace("T", " ")}Z`, { dateTime: iso });
}

function cellRow({ environment, shown, observedAt, cause, phase, blame, passed }) {
  const row = element("tr", "");
  const result = element("td", "");
  const chip = element("span", "", { className: `chip ${shown.toLowerCase()}` });
  chip.append(element("b", shown));
  result.append(chip);
  // Which version passed last stands with the reason: on a phone there is no room for a column of its own.
  const last = shown === "PASS" || shown === "installed" ? "" : passed ? `last passed: ${passed}` : "no checked release passes";
  const why = element("td", [phase && `during ${PHASES[phase] ?? phase}`, blame && `blame: ${blame}`, last].filter(Boolean).join(", "));
  if (cause) why.prepend(element("code", cause, { className: "cause" }), " ");
  const when = element("td", "");
  when.append(moment(observedAt));
  row.append(element("th", environment, { scope: "row" }), result, why, when);
  return row;
}

function table(cells) {
  const made = element("table", "", { className: "blames" });
  const head = element("tr", "");
  for (const title of ["environment", "result", "why", "observed"]) {
    head.append(element("th", title, { scope: "col" }));
  }
  made.append(element("caption", "The newest release in each environment"), element("thead", ""), element("tbody", ""));
  made.tHead.append(head);
  made.tBodies[0].append(...cells.map(cellRow));
  return made;
}

function answer(found) {
  const { name, version, asOf, cells } = found;
  const [, , passing, claimed, installed] = searchRow(found);
  const counts = claimed ? `passes in ${passing} of ${claimed} environments` : "has no verdict";
  const apart = installed ? `, with nothing to import in ${installed}` : "";
  const lede = element("p", "", { className: "lede" });
  lede.append(element("strong", version), `, the newest release checked, ${counts}${apart}. Data as of `, moment(asOf), ".");
  const box = element("div", "", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: "Results" });
  box.append(table(cells));
  const commands = cells.filter(({ shown }) => shown !== "NA").map(({ environment }) => `scripts/nox -s "check(${environment})" -- ${quoted(`${name}==${version}`)}`);
  const notice = found.notice ? [element("p", `${found.notice} What follows is about ${version}.`, { className: "note" })] : [];
  const standins = standinNote(cells.filter(({ standin }) => standin).map(({ environment }) => environment));
  const parts = [element("h2", name), lede, ...notice, box, ...(standins ? [standins] : [])];
  if (found.hasPage) {
    const more = element("p", "");
    more.append(link(`All about ${name}`, `p/${name}/index.html`));
    parts.push(more);
  }
  parts.push(element("p", "Reproduce it:"), element("pre", commands.join("\n"), { className: "command", tabIndex: 0 }));
  const data = element("p", "", { className: "quiet" });
  data.append("As JSON: ", link(`api/v1/lookup/${shardOf(name)}.json`, `api/v1/lookup/${shardOf(name)}.json`), ". Records and logs: ", link("snapshots", "data/index.html"), ".");
  parts.push(data);
  return parts;
}

function start(form) {
  const input = form.querySelector("input");
  const status = form.querySelector("[role=status]");
  const section = document.querySelector("#answer");

  async function show() {
    const name = normalized(input.value);
    let parts = [];
    let message = "";
    let found = null;
    if (name) {
      try {
        found = await lookUp(name);
        parts = found ? answer(found) : await import("./near.js").then(({ absent }) => absent(name));
        message = found ? "" : `Nothing is known about ${name}: no release of it has been checked.`;
      } catch {
        message = "The answer cannot be read right now. Try again later.";
      }
      // Ignore a late answer to an earlier name.
      if (name !== normalized(input.value)) return;
    }
    section.replaceChildren(...parts);
    section.hidden = !parts.length;
    status.textContent = message;
    document.title = found ? `${name} · The PyPI Place` : "Look up a package · The PyPI Place";
  }

  function asked() {
    input.value = new URLSearchParams(location.search).get("name") ?? "";
    return show();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = normalized(input.value);
    history.pushState(null, "", name ? `?name=${encodeURIComponent(name)}` : location.pathname);
    show();
  });
  addEventListener("popstate", asked);
  form.hidden = false;
  asked();
}

const form = document.querySelector("#lookup");
if (form) start(form);
