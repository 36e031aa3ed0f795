// Reads `verdict.explanation`. The one place that knows its fields.

/**
 * @typedef {{layer: string, time: number, score: number, face: number | null, box: number[] | null, area: number[] | null, crop: string, cam: string | null}} Moment
 * @typedef {{png: string, start: number, end: number, threshold: number | null, spans: {start: number, end: number, score: number}[]}} Spectrogram
 * @typedef {{face: number, png: string, times: number[], windows: {start: number, end: number, score: number}[]}} MouthStrip
 * @typedef {{face: number, speaks: {start: number, end: number}[]}} SpeakingFace
 * @typedef {{moments: Moment[], spectrogram: Spectrogram | null, mouths: MouthStrip[], speaking: SpeakingFace[], signature: string | null}} Explanation
 */

const BASE64 = /^[A-Za-z0-9+/]+=*$/;

/** @returns {Explanation | null} */
export function explanationOf(found) {
  if (!found) return null;
  return {
    moments: (found.moments ?? []).map(momentOf).filter((each) => each.crop),
    spectrogram: spectrogramOf(found.spectrogram),
    mouths: (found.mouths ?? []).map(mouthsOf).filter((each) => each.png),
    speaking: (found.speakers?.faces ?? []).map((face) => ({ face: face.face, speaks: face.speaks ?? [] })),
    signature: found.generative_signature_words ?? null,
  };
}

function momentOf(found) {
  return {
    layer: found.layer, time: found.time, score: found.score, face: found.face ?? null, box: found.box ?? null, area: found.area ?? null,
    crop: picture(found.crop), cam: picture(found.cam?.png ?? found.cam),
  };
}

function spectrogramOf(found) {
  const png = picture(found?.png);
  if (!png) return null;
  return { png, start: found.seconds_start ?? found.start ?? 0, end: found.seconds_end ?? found.end ?? 0, threshold: found.threshold ?? null, spans: found.spans ?? [] };
}

function mouthsOf(found) {
  return { face: found.face, png: picture(found.png), times: found.times ?? [], windows: found.windows ?? [] };
}

/** The address of a PNG that came as base64; null for anything else. */
function picture(base64) {
  return typeof base64 === "string" && BASE64.test(base64) ? `data:image/png;base64,${base64}` : null;
}
