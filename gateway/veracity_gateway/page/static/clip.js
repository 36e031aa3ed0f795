// What player, timeline and tables need of a verdict, read once.
import { layerName } from "./words.js";

/**
 * @typedef {{start: number, end: number, score: number}} Span
 * @typedef {{key: string, name: string, spans: Span[], counts: boolean, face: number | null, start: number, end: number}} Row
 * @typedef {{id: number, number: number, start: number, end: number, score: number | null, boxes: {time: number, box: number[]}[]}} Face
 * @typedef {{kind: "video" | "sound" | "picture", seconds: number, width: number, height: number, rows: Row[], faces: Face[]}} Clip
 */

const PICTURE_SECONDS = 0.1; // a picture is a video of one frame

/** @returns {Clip} */
export function clipOf(verdict) {
  const input = verdict.input;
  const [width, height] = (input.resolution ?? "0x0").split("x").map(Number);
  const seconds = input.seconds ?? lastMoment(verdict);
  const faces = facesOf(verdict);
  return { kind: kindOf(input, seconds), seconds, width, height, faces, rows: [...layerRows(verdict, seconds), ...faceRows(verdict, faces)] };
}

function kindOf(input, seconds) {
  if (!input.codecs.video) return "sound";
  return !input.codecs.audio && seconds <= PICTURE_SECONDS ? "picture" : "video";
}

function lastMoment(verdict) {
  const ends = Object.values(verdict.timeline).flat().map((span) => span.end);
  return Math.max(0, ...ends, ...verdict.faces.map((face) => face.end));
}

/** Faces by when they appear; people count them from 1. */
function facesOf(verdict) {
  return [...verdict.faces].sort((a, b) => a.start - b.start || a.id - b.id).map((face, index) => ({
    id: face.id, number: index + 1, start: face.start, end: face.end, score: face.fake_probability, boxes: face.boxes,
  }));
}

function layerRows(verdict, seconds) {
  return Object.entries(verdict.timeline).filter(([, spans]) => spans.length).map(([key, spans]) => ({
    key, name: layerName(key), spans, counts: counts(verdict, key), face: null, start: 0, end: seconds,
  }));
}

/** A row a face, of the scores that a layer gave it frame by frame; each holds until the next. */
function faceRows(verdict, faces) {
  const layer = verdict.layer_results["2_visual"];
  const scores = layer?.frame_scores ?? [];
  return faces.map((face) => {
    const own = scores.filter((each) => each.face === face.id).sort((a, b) => a.time - b.time);
    const spans = own.map((each, index) => ({ start: each.time, end: Math.min(face.end, own[index + 1]?.time ?? face.end), score: each.score }));
    return { key: `face-${face.id}`, name: `Face ${face.number}`, spans, counts: counts(verdict, "2_visual"), face: face.id, start: face.start, end: face.end };
  });
}

function counts(verdict, key) {
  return (verdict.layer_results[key]?.weight ?? 0) > 0;
}

/** The score of a row at a time, or null where it was not examined. */
export function scoreAt(row, time) {
  const span = row.spans.find((each) => time >= each.start && (time < each.end || (each.start === each.end && time - each.start < 0.04)));
  return span ? span.score : null;
}

/** The stretches with the highest scores, of rows that count, not two within a second of each other. */
export function worstMoments(clip, most = 6) {
  const all = clip.rows.filter((row) => row.counts).flatMap((row) => row.spans.map((span) => ({ ...span, row })));
  all.sort((a, b) => b.score - a.score);
  const kept = [];
  for (const each of all) {
    if (kept.length === most) break;
    if (!kept.some((other) => Math.abs(other.start - each.start) < 1)) kept.push(each);
  }
  return kept;
}

const LONGEST_GAP = 2.0; // seconds between two boxes over which a face is drawn in between

/** Where a face is at a time, between the frames that were examined; null where it was not followed. */
export function boxAt(face, time) {
  const boxes = face.boxes;
  const after = boxes.findIndex((each) => each.time >= time);
  if (after === 0) return boxes[0].time - time < 0.05 ? boxes[0].box : null;
  if (after < 0) {
    const last = boxes.at(-1);
    return last && time - last.time < 0.2 ? last.box : null;
  }
  const [a, b] = [boxes[after - 1], boxes[after]];
  if (b.time - a.time > LONGEST_GAP) return null;
  const part = (time - a.time) / (b.time - a.time);
  return a.box.map((value, index) => value + part * (b.box[index] - value));
}
