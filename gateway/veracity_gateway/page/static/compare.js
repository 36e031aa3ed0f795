// Two clips side by side: both verdicts, both players, one transport.
import { ask } from "./api.js";
import { clipOf } from "./clip.js";
import { el, fill, icon, unique } from "./dom.js";
import { clock, percent } from "./format.js";
import { mediaOf } from "./media.js";
import { createPlayer } from "./player.js";
import { createTimeline } from "./timeline.js";
import { explanationOf } from "./explanation.js";
import { LABELS, LAYERS, STATUS } from "./words.js";

const DRIFT = 0.12; // seconds by which the second may differ before it is set

export async function compareView(a, b) {
  if (!b) return chooser(a);
  const jobs = await Promise.all([ask(`/jobs/${a}`), ask(`/jobs/${b}`)]);
  const unfinished = jobs.find((job) => !job.verdict);
  if (unfinished) return { node: el("div", { class: "narrow" }, el("h1", { tabindex: "-1" }, "Compare"), el("p", {}, "There is no verdict to compare yet for ", el("a", { href: `#/jobs/${unfinished.job_id}` }, unfinished.name), ".")) };
  const sides = jobs.map(side);
  const together = transport(sides.map((each) => each.player));
  const node = el("div", { class: "compare" },
    el("h1", { tabindex: "-1" }, "Two clips side by side"),
    summary(jobs), together.node,
    el("div", { class: "sides" }, sides.map((each) => each.node)));
  return { node, stop: () => {
    together.stop();
    sides.forEach((each) => each.stop());
  } };
}

function side(job, index) {
  const clip = clipOf(job.verdict);
  const player = createPlayer(clip, explanationOf(job.verdict.explanation));
  const timeline = createTimeline(clip, player);
  const media = mediaOf(job, clip, (source) => {
    player.load(source);
    timeline.load(source);
  });
  const node = el("section", { class: "card stage", "aria-label": `${index ? "Right" : "Left"}: ${job.name}` },
    el("h2", {}, el("a", { href: `#/jobs/${job.job_id}`, class: "file-name" }, job.name)),
    media.node, player.node, clip.kind !== "picture" && timeline.node);
  return { node, player, stop: () => {
    player.stop();
    timeline.stop();
    media.stop();
  } };
}

/** One button and one slider for both; the second follows the first, moved by an offset. */
function transport(players) {
  if (players.some((player) => player.clip.kind === "picture")) return { node: null, stop() {} };
  const [first, second] = players;
  const id = unique("both");
  const offset = el("input", { id: `${id}-offset`, type: "number", step: "0.04", value: "0", on: { change: () => go(first.time) } });
  const position = el("input", { id, type: "range", min: "0", max: String(Math.max(first.duration, second.duration)), step: "0.01", value: "0", on: { input: () => go(Number(position.value)) } });
  const time = el("output", { for: id }, clock(0));
  const play = el("button", { type: "button", class: "primary", on: { click: toggle } }, "Play both");
  const delay = () => Number(offset.value) || 0;
  const mute = () => { second.media.muted = true; };
  function go(at) {
    first.seek(at);
    second.seek(at + delay());
  }
  function toggle() {
    const on = !first.playing;
    second.seek(first.time + delay());
    for (const player of players) if (player.playing !== on) player.toggle();
  }
  first.onTime((now) => {
    position.value = String(now);
    time.textContent = clock(now);
    if (first.playing && second.playing && Math.abs(second.time - now - delay()) > DRIFT) second.seek(now + delay());
  });
  const said = () => { play.textContent = first.playing ? "Pause both" : "Play both"; };
  for (const event of ["play", "pause", "ended"]) first.media.addEventListener(event, said);
  mute();
  const node = el("div", { class: "card transport", role: "group", "aria-label": "Both clips" },
    play, el("label", { for: id, class: "visually-hidden" }, "Position in both clips"), position, time,
    el("label", { for: offset.id }, "Right clip ahead by, s"), offset, el("span", { class: "muted small" }, "The right clip is muted."));
  return { node, stop: () => players.forEach((player) => player.stop()) };
}

/** Both verdicts in one table. */
function summary(jobs) {
  const verdicts = jobs.map((job) => job.verdict);
  const row = (name, of) => el("tr", {}, el("th", { scope: "row" }, name), verdicts.map((verdict, index) => el("td", {}, of(verdict, jobs[index]))));
  return el("div", { class: "scroll card", tabindex: "0", role: "region", "aria-label": "Both verdicts" }, el("table", { class: "both" },
    el("caption", { class: "visually-hidden" }, "Both verdicts"),
    el("thead", {}, el("tr", {}, el("td", {}), jobs.map((job) => el("th", { scope: "col", class: "file-name" }, job.name)))),
    el("tbody", {},
      row("Verdict", (verdict) => el("span", { class: `tag is-${verdict.label}` }, icon(verdict.label), (LABELS[verdict.label] ?? LABELS.inconclusive).word)),
      row("P(fake)", (verdict) => (verdict.fake_probability === null ? "–" : percent(verdict.fake_probability))),
      row("Findings", (verdict) => verdict.likelihood_ratio?.words ?? "–"),
      Object.entries(LAYERS).map(([key, { name }]) => row(name, (verdict) => layer(verdict.layer_results[key]))),
      row("Length", (verdict) => (verdict.input.seconds === null ? "–" : clock(verdict.input.seconds))),
      row("Resolution", (verdict) => verdict.input.resolution ?? "–"),
      row("sha256", (verdict) => (verdicts[0].input.sha256 === verdicts[1].input.sha256 ? "the same file" : el("code", {}, verdict.input.sha256.slice(0, 12)))))));
}

function layer(found) {
  if (!found) return "–";
  if (found.status !== "scored") return STATUS[found.status] ?? found.status;
  return `${percent(found.fake_probability ?? 0)}${found.weight ? "" : ", no weight"}`;
}

async function chooser(a) {
  const [job, page] = await Promise.all([ask(`/jobs/${a}`), ask("/jobs?state=COMPLETE&limit=50")]);
  const others = page.jobs.filter((each) => each.job_id !== a);
  const list = el("ul", { class: "choices" });
  const show = (text) => fill(list, others.filter((each) => each.name.toLowerCase().includes(text.toLowerCase())).map((each) => el("li", {},
    el("a", { href: `#/compare/${a}/${each.job_id}` }, icon(each.label ?? "inconclusive"), el("span", { class: "file-name" }, each.name)))));
  const search = el("input", { id: "other", type: "search", on: { input: () => show(search.value) } });
  show("");
  return { node: el("div", { class: "narrow" },
    el("h1", { tabindex: "-1" }, "Compare"),
    el("p", {}, "Which clip beside ", el("strong", { class: "file-name" }, job.name), "?"),
    others.length ? [el("label", { for: "other" }, "Search"), search, list] : el("p", {}, "There is no other finished job.")) };
}
