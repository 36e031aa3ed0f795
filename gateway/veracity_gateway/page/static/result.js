// The result of a job: the verdict, the clip with its timeline, what the models saw, the layers, the file, reviews.
import { el, fill } from "./dom.js";
import { explanationOf } from "./explanation.js";
import { explained } from "./explained.js";
import { fileCard } from "./filecard.js";
import { frameSheet } from "./frames.js";
import { layerCards } from "./layers.js";
import { clipOf } from "./clip.js";
import { mediaOf } from "./media.js";
import { moments, timelineTable } from "./moments.js";
import { createPlayer } from "./player.js";
import { provenanceCard } from "./provenance.js";
import { reviewCard } from "./review.js";
import { createTimeline } from "./timeline.js";
import { examinedTable, verdictCard } from "./verdict.js";

/** @param {any} job @returns {{node: Node, stop: () => void}} */
export function resultView(job) {
  const clip = clipOf(job.verdict);
  const seen = explanationOf(job.verdict.explanation);
  const player = createPlayer(clip, seen);
  const timeline = createTimeline(clip, player);
  const sheet = frameSheet(clip, player);
  const media = mediaOf(job, clip, (source) => {
    player.load(source);
    timeline.load(source);
    sheet.load(source);
  });
  const stage = el("section", { class: "card stage", "aria-labelledby": "clip-title" },
    el("h2", { id: "clip-title" }, clip.kind === "picture" ? "The picture" : "The clip, and where the score rises"),
    media.node, player.node, clip.kind !== "picture" && timeline.node, moments(clip, player), timelineTable(clip, player));
  const node = el("div", { class: "result" },
    verdictCard(job.verdict),
    el("div", { class: "columns" },
      el("div", { class: "column" }, stage, explained(seen, player), sheet.node),
      el("div", { class: "column side" }, examinedTable(job.verdict), reviewCard(job), fileCard(job), provenanceCard(job.provenance))),
    layerCards(job.verdict, seen));
  return { node, stop: () => {
    player.stop();
    timeline.stop();
    sheet.stop();
    media.stop();
    fill(node);
  } };
}
