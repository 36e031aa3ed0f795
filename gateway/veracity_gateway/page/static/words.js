// The page's words: what layers, stages, labels and errors are called, and what each model cannot see.
// Source of the limits: docs/models/*.md, "Limits", in shorter sentences.

/** @type {Record<string, {name: string, asks: string}>} */
export const LAYERS = {
  "1_audio": { name: "Voice", asks: "Was this speech synthesised or converted by a machine?" },
  "2_visual": { name: "Faces", asks: "Was a face swapped, re-rendered or blended in?" },
  "3_lipsync": { name: "Lips", asks: "Was a mouth painted or moved by a machine, and does the sound belong to it?" },
  "4_semantic": { name: "Whole picture", asks: "Did a generator draw the picture as a whole?" },
};

export const layerName = (key) => LAYERS[key]?.name ?? key;

export const STAGES = {
  download: "Fetching the file", probe: "Reading the file", sound: "Decoding the sound", speech: "Looking for speech",
  frames: "Decoding frames, finding faces", speakers: "Who speaks", explanation: "Pictures of what the models saw",
  "1_audio": "Voice", "2_visual": "Faces", "3_lipsync": "Lips", "4_semantic": "Whole picture",
};

/** @type {Record<string, string[]>} */
export const LIMITS = {
  audio_starter: [
    "A short fake inside a long real recording: the score is a mean over the clip.",
    "Older systems that build speech from signal processing; it often takes them for real.",
    "Singing, whispering, several people at once, children: never measured.",
    "Replayed recordings, and voices made to deceive this model.",
    "Noise, rooms and strong compression make it less sure than the figures say.",
  ],
  visual_starter: [
    "Heads that a generator drew as a whole: to this model they look real.",
    "Faces narrower than 48 pixels are not scored.",
    "Still pictures: it carries no weight there.",
    "Children, profiles and covered faces are hardly in what it learned from.",
    "Whoever knows the model can deceive it.",
  ],
  lipsync_starter: [
    "Whole heads made by a generator.",
    "Sound that is moved by three frames or less.",
    "Somebody else's speech in another rhythm, where the mouth moves often enough.",
    "People who do not speak, under music or a voice-over.",
    "Several people speaking and faces from the side were not measured.",
  ],
  semantic_starter: [
    "Swapped faces, dubbed mouths and edited corners: most of that picture is real.",
    "Text-to-video, animals, landscapes and drawings were never measured.",
    "Real pictures after beauty filters, strong denoising or up-scaling can look drawn to it.",
    "In pictures without people the score is a guess.",
  ],
  semantic_texture_starter: [
    "Pictures under 224 pixels high or wide are not scored.",
    "Generated pictures that were made much smaller or coded coarsely afterwards.",
    "Real photographs after super-resolution, strong denoising or a telephone's enhancer can look drawn to it.",
    "Drawings, screens and documents were not measured.",
  ],
};

export const LABELS = {
  fake: { word: "Fake", line: "The findings speak for a fake, strongly enough for this word at the chosen operating point." },
  real: { word: "Real", line: "The findings speak for a real recording, strongly enough for this word at the chosen operating point." },
  inconclusive: { word: "Inconclusive", line: "This is an answer: what was looked at does not settle it. Do not treat the clip as real, nor as fake." },
};

export const STATES = {
  UPLOADING: "Being fetched", QUEUED: "Waiting", PROCESSING: "Being analysed", COMPLETE: "Done", ERROR: "Failed", CANCELLED: "Cancelled",
};

export const STATUS = { scored: "Scored", abstained: "Could not look", skipped: "Not asked", failed: "Failed" };

export const POLICIES = {
  fail_fast: ["Stop when it is clear", "Stops as soon as one layer is sure. Fastest."],
  decided: ["Stop when decided", "Stops once no further layer could change the answer."],
  exhaustive: ["Look at everything", "Asks every layer, also those that carry no weight. Slowest."],
};

export const POINTS = {
  strict: ["Strict, 1 % wrong words", "At most 1 % of real clips called fake, and of fakes called real. More clips stay inconclusive."],
  balanced: ["Balanced, 5 % wrong words", "At most 5 % of either kind."],
  screening: ["Screening, 10 % wrong words", "At most 10 % of either kind: a first pass over many clips."],
};

const ERRORS = {
  BadVideo: ["This file cannot be read as video, sound or picture", "Check that it plays elsewhere, and that the upload is the original."],
  UnsupportedCodec: ["The file's codec is not supported", "Convert it, for instance to H.264 in MP4. Converting can hide traces: keep the original."],
  NoFrames: ["No picture and no sound came out of this file", "It may be cut off or empty."],
  TooLarge: ["The file is too large", "Cut out the part in question, without encoding it anew."],
  TooLong: ["The clip is too long", "Cut out the part in question, without encoding it anew."],
  TooManyPixels: ["The picture has too many pixels", "Use a smaller version."],
  BadUrl: ["This address cannot be fetched", "It has to be public, over http or https, and lead to the file itself."],
  NotFound: ["There is no such job", "It was deleted, its time was up, or it belongs to someone else."],
  Gone: ["The file is no longer kept", "Files are deleted after the verdict unless keeping them was asked for."],
  Unauthorized: ["You are not signed in", "Sign in with an API key."],
  Forbidden: ["Your key may not do this", "Ask whoever runs this gateway for a key with that right."],
  TooManyRequests: ["Too many requests", "Wait a little, then try again."],
  AnalysisTimeout: ["The analysis took too long", "Try a shorter part of the clip."],
  Overloaded: ["The server has too much work", "Try again in a few minutes."],
  ModelUnavailable: ["A model is not available", "Try again later; whoever runs the server can see why."],
  StoreUnavailable: ["The place where jobs are kept does not answer", "Try again later."],
  ServerUnavailable: ["No analysis server answers", "Try again later."],
  StorageFull: ["There is no space left for files", "Whoever runs this gateway has to make some."],
  UploadTimeout: ["The upload took too long", "Try again over a faster connection."],
  NoAnswer: ["The gateway does not answer", "Check the connection, then try again."],
};

/** Title and advice for an error's name, as in `urn:veracity:error:NAME`. */
export function errorWords(name) {
  const [title, advice] = ERRORS[name] ?? ["That did not work", "If it happens again, give the request id to whoever runs this gateway."];
  return { title, advice };
}
