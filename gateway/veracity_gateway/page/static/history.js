// The jobs, the newest first; searched and filtered by the gateway.
import { ask } from "./api.js";
import { announce, el, fill, icon } from "./dom.js";
import { bytes, percent, when } from "./format.js";
import { confirmed } from "./job.js";
import { problemCard } from "./problem.js";
import { LABELS, STATES } from "./words.js";

const PAUSE = 250; // milliseconds after the last key before it is asked
const PAGE = 30;
const kept = { q: "", state: "", label: "" }; // as it was left

export async function historyView() {
  const rows = el("tbody", {});
  const said = el("div", {});
  const more = el("button", { type: "button", hidden: true, on: { click: () => load(next) } }, "Show more");
  let next = null;
  let asked = 0; // the last question; answers to earlier ones are dropped
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(load, PAUSE);
  };
  const search = el("input", { id: "q", type: "search", value: kept.q, placeholder: "Part of a name, or a sha256", spellcheck: "false", on: { input: () => { kept.q = search.value.trim(); later(); } } });
  const node = el("div", { class: "history" },
    el("h1", { tabindex: "-1" }, "History"),
    el("form", { class: "filters", role: "search", on: { submit: (event) => { event.preventDefault(); load(); } } },
      el("div", {}, el("label", { for: "q" }, "Search"), search),
      select("state", "State", STATES, later), select("label", "Verdict", Object.fromEntries(Object.entries(LABELS).map(([key, { word }]) => [key, word])), later)),
    said,
    el("table", { class: "jobs" },
      el("caption", { class: "visually-hidden" }, "Jobs, the newest first"),
      el("thead", {}, el("tr", {}, ["Verdict", "File", "P(fake)", "When", "Actions"].map((name) => el("th", { scope: "col" }, name)))), rows),
    el("div", { class: "row center" }, more));

  async function load(after = null) {
    const mine = (asked += 1);
    const wanted = Object.entries({ ...kept, limit: PAGE, after }).filter(([, value]) => value);
    try {
      const page = await ask(`/jobs?${new URLSearchParams(wanted)}`);
      if (mine !== asked) return;
      next = page.next;
      more.hidden = !next;
      const made = page.jobs.map((job) => line(job, said));
      if (after) rows.append(...made);
      else fill(rows, made);
      fill(said, !rows.children.length && el("p", { class: "empty" }, Object.values(kept).some(Boolean) ? "No job fits these filters." : "Nothing was analysed yet."));
      announce(`${rows.children.length} jobs`);
    } catch (error) {
      if (error.name !== "AbortError") fill(said, problemCard(error));
    }
  }
  await load();
  return { node, stop: () => clearTimeout(timer) };
}

function select(name, title, words, changed) {
  const node = el("select", { id: `filter-${name}`, on: { change: () => { kept[name] = node.value; changed(); } } },
    el("option", { value: "" }, "All"), Object.entries(words).map(([value, text]) => el("option", { value, selected: kept[name] === value }, text)));
  return el("div", {}, el("label", { for: node.id }, title), node);
}

function line(job, said) {
  const label = job.label && (LABELS[job.label] ?? LABELS.inconclusive);
  const under = ["UPLOADING", "QUEUED", "PROCESSING"].includes(job.state);
  const row = el("tr", {},
    el("td", {}, el("span", { class: `tag is-${label ? job.label : under ? "under-way" : "failed"}` }, icon(label ? job.label : under ? "waiting" : "failed"), label ? label.word : STATES[job.state] ?? job.state)),
    el("th", { scope: "row" }, el("a", { href: `#/jobs/${job.job_id}`, class: "file-name" }, job.name), el("span", { class: "muted small" }, ` ${bytes(job.bytes)}`)),
    el("td", { class: "number", data: { name: "P(fake)" } }, job.fake_probability === null ? "–" : percent(job.fake_probability)),
    el("td", { class: "muted" }, when(job.created)),
    el("td", {}, el("div", { class: "row" },
      job.state === "COMPLETE" && el("a", { href: `#/compare/${job.job_id}`, class: "quiet button", "aria-label": `Compare ${job.name} with another` }, "Compare"),
      confirmed(under ? "Cancel" : "Delete", `${under ? "Cancel" : "Delete"} ${job.name}`, remove))));
  async function remove() {
    try {
      await ask(`/jobs/${job.job_id}`, { method: "DELETE" });
      const other = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (other?.querySelector("a") ?? document.getElementById("q")).focus();
      announce(`${job.name} deleted`);
    } catch (error) {
      fill(said, problemCard(error));
    }
  }
  return row;
}
