// The sheet of key frames: the moments that weigh most and regular times, made here from the clip; a magnifier.
import { worstMoments } from "./clip.js";
import { card, el, fill } from "./dom.js";
import { clock, percent } from "./format.js";
import { magnify } from "./magnifier.js";

const REGULAR = 8;
const WIDTH = 320; // pixels of a small picture
const SEEK_SECONDS = 4; // after which a frame is given up

export function frameSheet(clip, player) {
  if (clip.kind === "sound") return { node: null, load() {}, stop() {} };
  const list = el("ul", { class: "sheet" });
  const said = el("p", { class: "muted small" }, "The frames appear when the clip is loaded.");
  const node = card(clip.kind === "picture" ? "The picture, magnified" : "Key frames", said, list);
  let stopped = false;
  const wanted = timesOf(clip);

  async function load({ url }) {
    const source = clip.kind === "picture" ? await picture(url) : await video(url);
    if (!source) {
      said.textContent = "This browser cannot show frames of the file.";
      return;
    }
    for (const each of wanted) {
      if (stopped) break;
      if (!(await to(source, each.time))) continue;
      list.append(frame(source, each));
    }
    said.textContent = "Open a frame to magnify it. Marked frames are those whose score is highest.";
  }

  function frame(source, each) {
    const canvas = el("canvas", { "aria-hidden": "true" });
    draw(canvas, source, WIDTH);
    const words = `${clock(each.time)}${each.why ? `, ${each.why}` : ""}`;
    const open = async () => {
      player.seek(each.time);
      await to(source, each.time);
      const large = el("canvas");
      draw(large, source, sizeOf(source)[0]);
      magnify(large, words);
    };
    return el("li", {}, el("button", { type: "button", class: each.why ? "frame marked" : "frame", "aria-label": `Magnify the frame at ${words}`, on: { click: open } },
      canvas, el("span", {}, el("strong", {}, clock(each.time)), each.why && [" ", each.why])));
  }
  return { node, load, stop: () => {
    stopped = true;
    fill(list);
  } };
}

/** Times in order, each with why it was chosen. */
function timesOf(clip) {
  if (clip.kind === "picture") return [{ time: 0, why: "" }];
  const worst = worstMoments(clip, 4).map((each) => ({ time: each.start, why: `${each.row.name} ${percent(each.score)}` }));
  const regular = Array.from({ length: REGULAR }, (_, index) => ({ time: (clip.seconds * (index + 0.5)) / REGULAR, why: "" }));
  return [...worst, ...regular.filter((each) => !worst.some((other) => Math.abs(other.time - each.time) < 0.2))].sort((a, b) => a.time - b.time);
}

function picture(url) {
  const image = el("img", { alt: "" });
  return loaded(image, "load", url);
}

function video(url) {
  return loaded(el("video", { muted: true, preload: "auto", playsinline: true }), "loadeddata", url);
}

function loaded(media, event, url) {
  return new Promise((resolve) => {
    media.addEventListener(event, () => resolve(media), { once: true });
    media.addEventListener("error", () => resolve(null), { once: true });
    media.src = url;
  });
}

/** Go to a frame; says whether it is there. */
function to(source, time) {
  if (source.tagName === "IMG" || Math.abs(source.currentTime - time) < 0.001) return Promise.resolve(true);
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), SEEK_SECONDS * 1000);
    source.addEventListener("seeked", () => {
      clearTimeout(late);
      resolve(true);
    }, { once: true });
    source.currentTime = Math.max(0, Math.min(time, (source.duration || time) - 0.02));
  });
}

function sizeOf(source) {
  return [source.videoWidth || source.naturalWidth, source.videoHeight || source.naturalHeight];
}

function draw(canvas, source, width) {
  const [wide, high] = sizeOf(source);
  canvas.width = Math.min(width, wide);
  canvas.height = Math.round((canvas.width * high) / wide);
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
}
