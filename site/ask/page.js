// The page that answers for pasted requirements. What is pasted is read here and stays here: only the files of this
// site about the packages that it names are fetched.

import { answer } from "./answers.js";
import { isNeeded } from "./markers.js";
import { MAX_CHARACTERS, MAX_PACKAGES, parseRequirements } from "./requirements.js";
import { causeCode, element, knownPackage, link, resultChip, scrollBox, standinNote } from "./shared.js";

const AT_ONCE = 8;
const MAX_LINK = 2_000;
const MAX_LISTED = 20;
const [MIN_ROWS, MAX_ROWS] = [3, 7];
const STORED = "ppp-ask";
const FAILING = new Set(["fails", "not-claimed"]);
const WORDS = { works: "work", fails: "fail", "not-claimed": "do not claim it", unknown: "unknown", "not-needed": "not needed" };
const ORDER = ["fails", "not-claimed", "unknown", "works", "not-needed"];
const NOTHING = { releases: [], passing: null };

const plural = (count, word, ending = "s") => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : ending}`;

const worst = (cells) => Math.min(...cells.map(({ state }) => ORDER.indexOf(state)));

// Return an answer for each entry, in their order; a few packages are read at a time.
async function answers(entries, environments, progress) {
  const waiting = [...new Set(entries.map(({ package: name }) => name))];
  const [found, total] = [new Map(), waiting.length];
  async function work() {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      found.set(name, await knownPackage(name));
      progress(found.size, total);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return entries.map((entry) => {
    const package_ = found.get(entry.package);
    const needed = Object.fromEntries(environments.map(({ id, python }) => [id, isNeeded(entry.marker, python)]));
    return { entry, page: package_?.page, isKnown: Boolean(package_), cells: answer(entry, package_?.known ?? NOTHING, needed) };
  });
}

// ---- the table

function shownAs({ state, cell }) {
  if (state === "not-needed") return ["none", "not needed"];
  if (!cell || state === "unknown") return ["none", "unknown"];
  const word = cell.shown ?? cell.result;
  return [word.toLowerCase(), word];
}

function cellOf(answered) {
  const [name, word] = shownAs(answered);
  const content = name === "none" ? [`· ${word}`] : [element("b", word)];
  const made = element("td", [...content, answered.version ? ` ${answered.version}` : ""], { className: name });
  made.dataset.e = answered.environment;
  return made;
}

// Return why an environment is not shown as working, and what to do there.
function reason({ entry, isKnown }, { state, version, cell, nearest }) {
  const package_ = entry.package;
  const passes = nearest ? `${package_}==${nearest} passes there` : "";
  if (state === "unknown") {
    const which = version ? `${package_}==${version}` : entry.requirement;
    return [`${which} was not checked${isKnown ? "" : ": that says nothing about it"}`, null, "", "", passes];
  }
  const what = state === "not-claimed" ? `${package_}==${version} does not claim` : `${package_}==${version} ${cell.result}`;
  return [what, cell.cause, cell.detail ?? "", state === "fails" ? (cell.blame ?? "") : "", passes || (state === "fails" ? "no checked version passes there" : "")];
}

function reasons(answered) {
  const groups = new Map();
  for (const cell of answered.cells.filter(({ state }) => state !== "works" && state !== "not-needed")) {
    const why = reason(answered, cell);
    const key = JSON.stringify(why);
    groups.set(key, { why, places: [...(groups.get(key)?.places ?? []), cell.environment] });
  }
  return [...groups.values()].map(({ why: [what, cause, detail, blame, then], places }) =>
    element("p", [what, cause ? " " : "", cause ? causeCode(cause) : "", detail ? `: ${detail}` : "", blame ? `, blame: ${blame}` : "", ` (${places.join(", ")})`, then ? "; " : "", then ? element("strong", then) : ""]),
  );
}

// What is said of a requirement stands in a row below its results; one of which nothing is known has no other.
function rows(answered) {
  const { entry, page, cells, isKnown } = answered;
  const where = entry.marker ? element("span", " where its marker is true", { className: "quiet" }) : "";
  const head = element("th", [page ? link(entry.requirement, page) : entry.requirement, where], { scope: "row" });
  const isNeededNowhere = cells.every(({ state }) => state === "not-needed");
  if (isNeededNowhere) return [element("tr", [head, element("td", "· not needed in any of these", { className: "none", colSpan: cells.length })])];
  if (!isKnown) return [element("tr", [head, element("td", "· not checked: that says nothing about it", { className: "none", colSpan: cells.length })])];
  const why = reasons(answered);
  const below = why.length ? [element("tr", element("td", why, { className: "why", colSpan: cells.length + 1 }))] : [];
  return [element("tr", [head, ...cells.map(cellOf)], { className: below.length ? "explained" : "" }), ...below];
}

function table(answered, environments) {
  const heads = ["requirement", ...environments.map(({ id }) => id)].map((title) => element("th", title, { scope: "col" }));
  const about = "What pip would take of what was checked here; newer versions may exist. What fails comes first.";
  const body = [...answered].sort((a, b) => worst(a.cells) - worst(b.cells)).flatMap(rows);
  return element("table", [element("caption", about), element("thead", element("tr", heads)), element("tbody", body)], { className: "matrix answers" });
}

// ---- the verdicts

function counts(answered, place) {
  const states = answered.map(({ cells }) => cells[place].state);
  return ORDER.map((state) => [state, states.filter((each) => each === state).length]).filter(([, count]) => count);
}

function environmentLine({ id }, place, answered) {
  const counted = counts(answered, place);
  const failing = counted.some(([state]) => FAILING.has(state));
  const known = !counted.some(([state]) => state === "unknown");
  const word = failing ? resultChip("FAIL") : known ? resultChip("PASS") : element("span", "unknown", { className: "chip none" });
  return element("li", [word, " ", link(id, `env/${id}/index.html`), ` ${counted.map(([state, count]) => `${count} ${WORDS[state]}`).join(", ")}`]);
}

function verdict(answered, mistakes) {
  const failing = answered.filter(({ cells }) => cells.some(({ state }) => FAILING.has(state))).length;
  const unknown = answered.filter(({ cells }) => cells.some(({ state }) => state === "unknown")).length;
  const unread = mistakes.length ? ` ${plural(mistakes.length, "line")} could not be read.` : "";
  if (failing) return `${failing} of ${plural(answered.length, "requirement")} ${failing === 1 ? "fails" : "fail"} somewhere.${unread}`;
  if (unknown) return `Nothing is known to fail; ${unknown} of ${plural(answered.length, "requirement")} ${unknown === 1 ? "is" : "are"} not known everywhere.${unread}`;
  return answered.length ? `${unread ? "What could be read works" : "Each works by itself"} in every environment that was asked about.${unread}` : unread.trim();
}

const listed = (title, lines) =>
  lines.length ? [element("h3", title), element("ul", [...lines.slice(0, MAX_LISTED), ...(lines.length > MAX_LISTED ? [`and ${lines.length - MAX_LISTED} more`] : [])].map((line) => element("li", line)), { className: "found" })] : [];

function result(answered, environments, { notes, mistakes }) {
  const parts = [element("h2", verdict(answered, mistakes)), ...listed("Not answered", mistakes)];
  if (answered.length) {
    parts.push(element("ul", environments.map((environment, place) => environmentLine(environment, place, answered)), { className: "found verdicts" }));
    parts.push(scrollBox(table(answered, environments), "Answers"));
    const standins = environments.map(({ id }) => id).filter((id, place) => answered.some(({ cells }) => cells[place].cell?.standin));
    if (standins.length) parts.push(standinNote(standins));
    parts.push(element("p", "Each package was checked alone, with the dependencies that pip chose for it: two that work alone may need versions of a third that exclude each other.", { className: "note" }));
  }
  return [...parts, ...listed("Not considered", notes)];
}

// ---- the form

function start(form) {
  const input = form.querySelector("textarea");
  const file = form.querySelector("input[type=file]");
  const status = form.querySelector("[role=status]");
  const section = document.querySelector("#answer");
  const boxes = [...form.querySelectorAll("input[name=environment]")];
  let asked = 0;

  const chosen = () => boxes.filter(({ checked }) => checked).map(({ value, dataset }) => ({ id: value, python: dataset.python }));

  function show(parts, message) {
    section.replaceChildren(...parts);
    section.hidden = !parts.length;
    status.textContent = message;
  }

  async function run() {
    const [number, text, environments] = [(asked += 1), input.value, chosen()];
    const read = text.length > MAX_CHARACTERS ? null : parseRequirements(text);
    if (!read) return show([], `That is longer than ${MAX_CHARACTERS.toLocaleString("en")} characters: ask in parts.`);
    if (!read.entries.length && !read.mistakes.length) return show([], text.trim() ? "No line names a package." : "");
    if (read.entries.length > MAX_PACKAGES) return show([], `${plural(read.entries.length, "package")} are asked about, and ${MAX_PACKAGES.toLocaleString("en")} is the limit: ask in parts.`);
    if (!environments.length) return show([], "Choose an environment.");
    try {
      const found = await answers(read.entries, environments, (done, total) => {
        if (number === asked) status.textContent = `${done} of ${plural(total, "package")} read`;
      });
      // Ignore a late answer to an earlier question.
      if (number === asked) show(result(found, environments, read), `${plural(found.length, "requirement")} answered.`);
    } catch {
      if (number === asked) show([], "The answer cannot be read right now, and nothing is known from this attempt. Try again later.");
    }
    return undefined;
  }

  // A short question stands in the address behind #, which no browser sends: so it can be kept and passed on.
  function remember() {
    const encoded = encodeURIComponent(input.value);
    history.replaceState(null, "", encoded && encoded.length <= MAX_LINK ? `#r=${encoded}` : location.pathname);
  }

  async function open(dropped) {
    if (!dropped) return;
    input.value = dropped.size > 4 * MAX_CHARACTERS ? "" : await dropped.text();
    if (!input.value) return show([], "That file is empty, or too large.");
    remember();
    await run();
  }

  async function fromAddress() {
    if (location.hash.startsWith("#r=")) {
      try {
        input.value = decodeURIComponent(location.hash.slice(3));
      } catch {
        status.textContent = "The address does not hold requirements.";
      }
    } else if (location.hash === "#pasted") {
      input.value = sessionStorage.getItem(STORED) ?? "";
      sessionStorage.removeItem(STORED);
    }
    input.rows = Math.min(MAX_ROWS, Math.max(MIN_ROWS, input.value.split("\n").length));
    await run();
    // Whoever comes with a question wants its answer in the first screen.
    if (input.value && !section.hidden) section.scrollIntoView();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    remember();
    run();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  boxes.forEach((box) => box.addEventListener("change", () => asked && run()));
  file.addEventListener("change", () => open(file.files[0]));
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    const [dropped] = event.dataTransfer.files;
    if (!dropped) return;
    event.preventDefault();
    open(dropped);
  });
  addEventListener("hashchange", fromAddress);
  form.hidden = false;
  fromAddress();
}

start(document.querySelector("#ask"));
