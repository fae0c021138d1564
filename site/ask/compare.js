// The page that shows two packages side by side, from their files.

import { compareEnvironments, element, knownPackage, link, noticeOf, resultChip, scrollBox, standinNote } from "./shared.js";
import { normalizedName } from "./requirements.js";

const SIZES = ["B", "kB", "MB", "GB"];

function size(bytes) {
  let [value, unit] = [bytes, 0];
  for (; value >= 1000 && unit < SIZES.length - 1; unit += 1) value /= 1000;
  return `${unit ? value.toFixed(1) : value} ${SIZES[unit]}`;
}

const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

const range = (numbers, format) => {
  const found = numbers.filter((number) => number !== undefined && number !== null);
  if (!found.length) return "–";
  const [low, high] = [format(Math.min(...found)), format(Math.max(...found))];
  return low === high ? low : `${low} to ${high}`;
};

const newestCells = ({ known }) => known.releases[0]?.cells ?? {};

const passingOf = (found) => {
  const results = Object.values(newestCells(found)).map(({ result }) => result);
  const claimed = results.filter((result) => result !== "NA" && result !== "ERROR").length;
  return claimed ? `${results.filter((result) => result === "PASS").length} of ${claimed} environments` : "no verdict";
};

const fileCells = ({ file }) => file?.cells ?? [];
const phase = (found, place) => fileCells(found).map(({ phases }) => phases?.[place]?.[1]);

// What is compared beside results: a title, and what it is of a package.
const FACTS = [
  ["newest release checked", ({ known }) => known.releases[0].version],
  ["passes in", passingOf],
  ["releases checked", ({ file }) => (file ? String(file.releases) : "–")],
  ["downloads", ({ file }) => (file?.downloads ? `${file.downloads.count.toLocaleString("en")} in ${file.downloads.period}` : "–")],
  ["file", ({ file }) => range((file?.files ?? []).map((one) => one.size), size)],
  ["distributions that were installed", ({ file }) => range((file?.installed ?? []).map((list) => list.length), String)],
  ["install with dependencies", (found) => range(phase(found, 2), seconds)],
  ["import", (found) => range(phase(found, 3), seconds)],
];

function cell(found, environment) {
  const known = Object.hasOwn(newestCells(found), environment) ? newestCells(found)[environment] : null;
  if (!known) return element("td", "· not checked", { className: "none" });
  const word = known.shown ?? known.result;
  const passed = known.result !== "PASS" && found.known.passing?.[environment];
  const because = [known.cause ? element("code", known.cause, { className: "cause" }) : "", passed ? ` ${passed} passed` : ""];
  return element("td", [resultChip(word), " ", ...because], { className: word.toLowerCase() });
}

const environmentsOf = (all) => [...new Set(all.flatMap((found) => Object.keys(newestCells(found))))].sort(compareEnvironments);

// What each package's page says, too: that the index has another newest version, and which cells ran on a stand-in.
function notices(names, all) {
  const versions = all.flatMap((found, place) => (noticeOf(found) ? [`${names[place]}: ${noticeOf(found)}`] : []));
  const standins = environmentsOf(all).filter((environment) => all.some((found) => newestCells(found)[environment]?.standin));
  return [...versions.map((words) => element("p", words, { className: "note" })), standinNote(standins)].filter(Boolean);
}

function table(names, all) {
  const heads = names.map((name, place) => element("th", link(name, all[place].page), { scope: "col" }));
  const row = (title, cells) => element("tr", [element("th", title, { scope: "row" }), ...cells]);
  const results = environmentsOf(all).map((environment) => row(link(environment, `env/${environment}/index.html`), all.map((found) => cell(found, environment))));
  const facts = FACTS.map(([title, of]) => row(title, all.map((found) => element("td", of(found)))));
  const caption = element("caption", "The newest checked release of each, and what was measured where it was checked");
  return element("table", [caption, element("thead", element("tr", [element("td", ""), ...heads])), element("tbody", results), element("tbody", facts)], { className: "compared" });
}

function start(form) {
  const inputs = [...form.querySelectorAll("input")];
  const status = form.querySelector("[role=status]");
  const section = document.querySelector("#answer");
  const names = () => inputs.map(({ value }) => normalizedName(value.trim()).slice(0, 214));

  function show(parts, message) {
    section.replaceChildren(...parts);
    section.hidden = !parts.length;
    status.textContent = message;
  }

  async function run() {
    const asked = names();
    if (asked.includes("")) return show([], asked.some(Boolean) ? "Name two packages." : "");
    const wrong = asked.find((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name));
    if (wrong !== undefined) return show([], `“${wrong}” is not a package name.`);
    try {
      const all = await Promise.all(asked.map(knownPackage));
      // Ignore a late answer to an earlier question.
      if (asked.join() !== names().join()) return undefined;
      const absent = asked.filter((_, place) => !all[place]);
      if (absent.length) return show([], `${absent.join(" and ")}: not checked, and that says nothing about ${absent.length > 1 ? "them" : "it"}.`);
      document.title = `${asked.join(" and ")} · The PyPI Place`;
      return show([element("h2", asked.join(" and ")), ...notices(asked, all), scrollBox(table(asked, all), "Comparison")], "");
    } catch {
      return show([], "The answer cannot be read right now. Try again later.");
    }
  }

  function fromAddress() {
    const query = new URLSearchParams(location.search);
    inputs.forEach((input) => {
      input.value = query.get(input.name) ?? "";
    });
    return run();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [a, b] = names();
    history.pushState(null, "", `?${new URLSearchParams({ a, b })}`);
    run();
  });
  addEventListener("popstate", fromAddress);
  form.hidden = false;
  fromAddress();
}

start(document.querySelector("#compare"));
