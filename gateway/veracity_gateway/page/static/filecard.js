// What the file is, as it was read.
import { card, el, facts } from "./dom.js";
import { bytes, clock, when } from "./format.js";

export function fileCard(job) {
  const input = job.verdict.input;
  const codecs = Object.entries(input.codecs).map(([track, codec]) => `${track} ${codec}`).join(", ");
  return card("The file", facts([
    ["Name", el("span", { class: "file-name" }, job.name)],
    ["Size", `${bytes(input.bytes)} (${input.bytes.toLocaleString("en-GB")} bytes)`],
    ["Length", input.seconds === null ? "not known" : clock(input.seconds)],
    ["Resolution", input.resolution?.replace("x", " × ")],
    ["Codecs", codecs || "none"],
    ["Video track", track(input.video_track, input.video_tracks)],
    ["Sound track", track(input.audio_track, input.audio_tracks)],
    ["Sound channel", input.audio_channel === null || input.audio_channel === undefined ? null : `number ${input.audio_channel + 1} alone`],
    ["sha256", el("code", { class: "digest" }, input.sha256)],
    ["Received", when(job.created)],
    ["Analysed in", `${job.verdict.processing_time.toFixed(1)} s`],
    ["Kept here", job.media ? "yes" : "no, deleted after the verdict"],
    ["Job", el("code", { class: "digest" }, job.job_id)],
  ]));
}

function track(number, of) {
  if (of === null || of === undefined) return null;
  if (number === null || number === undefined) return of ? `none of ${of} examined` : "none";
  return `number ${number + 1} of ${of}`;
}
