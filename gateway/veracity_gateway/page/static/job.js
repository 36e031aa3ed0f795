// One job: its stages while it is under way, then its verdict, or its error.
import { ask } from "./api.js";
import { announce, el, fill } from "./dom.js";
import { bytes, when } from "./format.js";
import { problemCard } from "./problem.js";
import { progressView } from "./progress.js";
import { resultView } from "./result.js";
import { LABELS, STATES } from "./words.js";
import { Problem } from "./api.js";

const ENDED = ["COMPLETE", "ERROR", "CANCELLED"];

export async function jobView(id) {
  let job = await ask(`/jobs/${id}`);
  let part = null; // what is shown below the head
  const head = el("div", { class: "job-head" });
  const body = el("div", {});
  const node = el("div", { class: "job" }, head, body);

  function show() {
    part?.stop?.();
    document.title = `${job.name} – Veracity`;
    fill(head, headOf(job, remove));
    part = partOf();
    fill(body, part.node);
  }

  function partOf() {
    if (!ENDED.includes(job.state)) return progressView(job, { cancel: remove, ended });
    if (job.state === "COMPLETE" && job.verdict) {
      announce(`Verdict: ${(LABELS[job.verdict.label] ?? LABELS.inconclusive).word}`);
      return resultView(job);
    }
    if (job.state === "CANCELLED") return { node: el("p", {}, "This analysis was cancelled. Nothing of it is kept.") };
    return { node: problemCard(new Problem(job.error ?? {}), el("p", {}, el("a", { href: "#/" }, "Try another file"))) };
  }

  async function ended() {
    try {
      job = await ask(`/jobs/${id}`);
      show();
    } catch (error) {
      fill(body, problemCard(error));
    }
  }

  /** Cancel, or delete: the same for the gateway. */
  async function remove() {
    try {
      await ask(`/jobs/${id}`, { method: "DELETE" });
      announce("Deleted");
      location.hash = ENDED.includes(job.state) ? "#/history" : "#/";
    } catch (error) {
      body.prepend(problemCard(error));
    }
  }

  show();
  return { node, stop: () => part?.stop?.() };
}

function headOf(job, remove) {
  const ended = ENDED.includes(job.state); // before that the card below says the state, which changes
  const said = [bytes(job.bytes), ended && (STATES[job.state] ?? job.state), when(job.finished ?? job.created)];
  return [
    el("div", { class: "job-title" },
      el("h1", { tabindex: "-1", class: "file-name" }, job.name),
      el("p", { class: "muted" }, said.filter(Boolean).join(" · "),
        job.answered_from && [" · ", el("a", { href: `#/jobs/${job.answered_from}` }, "same file, answered before")])),
    ended && actions(job, remove),
  ];
}

function actions(job, remove) {
  const link = (kind, words) => job.links?.[`report_${kind}`] &&
    el("a", { class: "button", href: job.links[`report_${kind}`], download: `veracity-${job.job_id.slice(0, 8)}.${kind}` }, words);
  return el("div", { class: "row actions" },
    job.state === "COMPLETE" && [
      el("span", { class: "muted small", id: "report-words" }, "Report"),
      link("pdf", "PDF"), link("html", "HTML"), link("json", "JSON"),
      el("a", { class: "button", href: `#/compare/${job.job_id}` }, "Compare"),
    ],
    confirmed("Delete", "Delete this job, its file and its verdict", remove));
}

/** A button that asks once more in place, without a dialog. */
export function confirmed(word, meaning, call) {
  const sure = el("button", { type: "button", class: "danger", hidden: true, on: { click: call } }, `Yes, ${word.toLowerCase()}`);
  const no = el("button", { type: "button", hidden: true, on: { click: () => turn(false) } }, "No");
  const first = el("button", { type: "button", class: "quiet", "aria-label": meaning, on: { click: () => turn(true) } }, word);
  function turn(on) {
    first.hidden = on;
    sure.hidden = no.hidden = !on;
    (on ? no : first).focus();
  }
  return el("span", { class: "row confirm" }, first, sure, no);
}
