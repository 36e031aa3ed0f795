// A job under way, live: server-sent events, and asking now and then where they do not come.
import { ask } from "./api.js";
import { announce, el, fill, icon } from "./dom.js";
import { duration, percent } from "./format.js";
import { STAGES, STATES, STATUS } from "./words.js";

const ALL = 8; // probe, sound, speech, frames and four layers; the gateway counts the same
const ASK_SECONDS = 3;

/** @param {any} job @param {{cancel: () => void, ended: () => void}} calls */
export function progressView(job, { cancel, ended }) {
  const stages = new Map(Object.entries(job.progress?.stages ?? {}));
  const bar = el("progress", { max: 1, value: job.progress?.fraction ?? 0, "aria-label": "Analysis" });
  const state = el("p", { class: "progress-state" });
  const list = el("ol", { class: "stages" });
  const node = el("section", { class: "card narrow", "aria-labelledby": "progress-title" },
    el("h2", { id: "progress-title" }, "Analysis under way"), state, bar, list,
    el("div", { class: "row between" },
      el("span", { class: "muted small" }, "You can leave this page: the job goes on, and History has it."),
      el("button", { type: "button", on: { click: cancel } }, "Cancel")));
  let word = job.state;
  const begun = Date.parse(job.started ?? job.created);

  function show() {
    const seconds = Math.max(0, (Date.now() - begun) / 1000);
    state.textContent = word === "PROCESSING" ? `${STATES.PROCESSING} for ${duration(seconds)}` : STATES[word] ?? word;
    bar.value = Math.max(bar.value, fraction());
  }
  function showStages() {
    fill(list, [...stages].map(([name, said]) => row(name, said)));
    show();
  }
  function fraction() {
    let done = 0;
    for (const said of stages.values()) done += said.status === "done" ? 1 : said.progress ?? 0;
    return Math.min(0.99, done / ALL);
  }
  function stage(said) {
    const before = stages.get(said.stage);
    stages.set(said.stage, said);
    if (said.status !== before?.status && said.status === "done") announce(`${STAGES[said.stage] ?? said.stage}: ${ending(said)}`);
    showStages();
  }

  const source = new EventSource(job.links?.events ?? `/jobs/${job.job_id}/events`);
  let over = false;
  const finish = () => {
    if (over) return;
    over = true;
    stop();
    ended();
  };
  source.addEventListener("stage", (event) => stage(JSON.parse(event.data)));
  source.addEventListener("state", (event) => {
    word = JSON.parse(event.data).state;
    if (word === "QUEUED") {
      stages.clear();
      bar.value = 0;
    }
    announce(STATES[word] ?? word);
    showStages();
  });
  source.addEventListener("end", finish);
  const clock = setInterval(show, 1000);
  const asking = setInterval(async () => {
    if (source.readyState === EventSource.OPEN) return;
    const now = await ask(`/jobs/${job.job_id}`).catch((error) => ({ state: error.status === 404 ? "CANCELLED" : null }));
    if (["COMPLETE", "ERROR", "CANCELLED"].includes(now.state)) finish();
  }, ASK_SECONDS * 1000);
  function stop() {
    source.close();
    clearInterval(clock);
    clearInterval(asking);
  }
  showStages();
  return { node, stop };
}

function row(name, said) {
  const running = said.status !== "done";
  const result = said.result;
  return el("li", { class: running ? "running" : "done" },
    icon(running ? "running" : result && result.status !== "scored" ? "skipped" : "done", "icon stage-icon"),
    el("span", { class: "stage-name" }, STAGES[name] ?? name),
    el("span", { class: "muted stage-said" }, running ? (said.progress ? percent(said.progress) : "running") : ending(said)));
}

function ending(said) {
  const result = said.result;
  if (!result) return "done";
  if (result.status === "scored") return `scored, P(fake) ${result.fake_probability?.toFixed(2) ?? "–"}`;
  return `${(STATUS[result.status] ?? result.status).toLowerCase()}: ${result.reason}`;
}
