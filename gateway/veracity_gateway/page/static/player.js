// The player: the clip, faces and the model's heat map drawn over it, what the model saw in a corner, and keys to go through it frame by frame.
import { boxAt, scoreAt } from "./clip.js";
import { el, fill, icon, svg } from "./dom.js";
import { clock, percent } from "./format.js";

const USUAL_FRAME = 1 / 25; // seconds, until two frames were seen
const LETTER = 13; // pixels of the screen
const NEAR = 0.08; // seconds around a moment in which its heat map is shown
const KEYS = [["space", "plays"], [", .", "step a frame"], ["← →", "move a second, with Shift five"], ["M", "mutes"]];

/**
 * @param {import("./clip.js").Clip} clip
 * @param {import("./explanation.js").Explanation | null} seen
 */
export function createPlayer(clip, seen) {
  const moving = clip.kind !== "picture";
  const media = moving ? el(clip.kind === "sound" ? "audio" : "video", { preload: "auto", playsinline: true }) : el("img", { alt: "The picture that was analysed" });
  const boxes = svg("svg", { class: "boxes", viewBox: `0 0 ${clip.width || 1} ${clip.height || 1}`, "aria-hidden": "true" });
  const inset = el("div", { class: "inset", hidden: true });
  const failed = el("p", { class: "note", hidden: true }, "This browser cannot show the file. The scores hold without it.");
  const screen = el("div", { class: `screen ${clip.kind}` }, media, clip.kind !== "sound" && boxes, inset);
  const listeners = new Set();
  let frame = USUAL_FRAME;
  let shown = 0; // the time of the frame that is on the screen
  let stopped = false;
  const over = { faces: true, heat: true };

  const player = {
    clip, media, node: null,
    get time() { return moving ? shown : 0; },
    get duration() { return clip.seconds || media.duration || 0; },
    get playing() { return moving && !media.paused; },
    load({ url }) {
      media.src = url;
      player.node.hidden = false;
    },
    onTime(call) { listeners.add(call); call(player.time); },
    seek(time) {
      shown = Math.min(Math.max(0, time), Math.max(0, player.duration - 0.001));
      if (moving && media.readyState > 0) media.currentTime = shown;
      tell();
    },
    step(count) {
      if (!moving) return;
      media.pause();
      shown = Math.min(Math.max(0, shown + count * frame), player.duration);
      media.currentTime = shown + frame * (count > 0 ? 0.25 : 0.5); // inside the frame, of which the rate is an estimate
      tell();
    },
    toggle() {
      if (!moving) return;
      if (media.paused) media.play().catch(() => {});
      else media.pause();
    },
    key(event) { return key(player, event); },
    stop() {
      stopped = true;
      if (moving) media.pause();
      media.removeAttribute("src");
    },
  };

  function tell() {
    const moment = seen?.moments.find((each) => each.cam && Math.abs(each.time - player.time) < NEAR);
    const inPlace = over.heat && moment?.area;
    if (clip.kind !== "sound") fill(boxes, inPlace && heat(moment), over.faces && clip.faces.map((face) => drawn(clip, face, player.time, letter())));
    showInset(moment, inPlace);
    for (const call of listeners) call(player.time);
  }
  /** The size of letters in the clip's own pixels, so that they look alike on every screen. */
  function letter() {
    return LETTER / (Math.min(boxes.clientWidth / clip.width, boxes.clientHeight / clip.height) || 1);
  }
  /** What the heat map is; with the crop where it does not lie over the frame. */
  function showInset(moment, inPlace) {
    const now = moment ? `${moment.time} ${Boolean(inPlace)}` : "";
    if (inset.dataset.now === now) return;
    inset.dataset.now = now;
    inset.hidden = !moment;
    if (moment) fill(inset, !inPlace && [el("img", { src: moment.crop, alt: "" }), el("img", { src: moment.cam, alt: "", class: "cam" })], el("span", {}, "What the model weighed here"));
  }
  /** A button that draws something over the frame, or leaves it out. */
  function overlay(name, words) {
    const button = el("button", { type: "button", class: "quiet", "aria-pressed": "true", on: { click: () => {
      over[name] = !over[name];
      button.setAttribute("aria-pressed", String(over[name]));
      tell();
    } } }, words);
    return button;
  }
  function watchFrames() {
    media.requestVideoFrameCallback((_, { mediaTime }) => {
      if (stopped) return;
      const step = mediaTime - shown;
      if (player.playing && step > 0.005 && step < frame) frame = step;
      shown = mediaTime;
      tell();
      watchFrames();
    });
  }
  function watchClock() {
    shown = media.currentTime;
    tell();
    if (player.playing && !stopped) requestAnimationFrame(watchClock);
  }
  media.addEventListener("error", () => {
    if (!media.getAttribute("src")) return;
    failed.hidden = false;
    screen.hidden = true;
    bar?.forEach((part) => { part.hidden = true; });
  });
  if (media.requestVideoFrameCallback) watchFrames();
  else if (moving) for (const event of ["play", "seeked"]) media.addEventListener(event, watchClock);
  if (moving) media.addEventListener("loadedmetadata", () => { if (shown) media.currentTime = shown; });

  new ResizeObserver(tell).observe(screen);
  const mapped = seen?.moments.some((each) => each.cam && each.area);
  const bar = moving ? controls(player, [clip.kind === "video" && clip.faces.length > 0 && overlay("faces", "Face boxes"), mapped && overlay("heat", "Heat map")]) : null;
  player.node = el("div", { class: "player", hidden: true, on: { keydown: (event) => player.key(event) && event.preventDefault() } }, screen, failed, bar);
  tell();
  return player;
}

function controls(player, overlays) {
  const { media, clip } = player;
  const play = el("button", { type: "button", class: "round", on: { click: player.toggle } });
  const time = el("span", { class: "time" });
  const showState = () => {
    fill(play, icon(player.playing ? "pause" : "play"));
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
  };
  const mute = el("button", { type: "button", class: "quiet", "aria-pressed": "false", on: { click: () => { media.muted = !media.muted; } } }, "Mute");
  media.addEventListener("volumechange", () => mute.setAttribute("aria-pressed", String(media.muted)));
  for (const event of ["play", "pause", "ended"]) media.addEventListener(event, showState);
  const rate = el("select", { "aria-label": "Speed", on: { change: () => { media.playbackRate = Number(rate.value); } } },
    [0.1, 0.25, 0.5, 1, 1.5, 2].map((value) => el("option", { value: String(value), selected: value === 1 }, `${value}×`)));
  const step = (count, name, words) => el("button", { type: "button", class: "round", "aria-label": words, title: words, on: { click: () => player.step(count) } }, icon(name));
  player.onTime((now) => { time.textContent = `${clock(now)} / ${clock(player.duration)}`; });
  showState();
  const video = clip.kind === "video";
  return [el("div", { class: "controls", role: "group", "aria-label": "Player" },
    video && step(-1, "back", "One frame back (,)"), play, video && step(1, "next", "One frame on (.)"),
    time, el("span", { class: "spring" }), rate, mute, overlays),
  el("p", { class: "muted small keys" }, KEYS.map(([name, does]) => el("span", {}, el("kbd", {}, name), ` ${does}`)))];
}

/** The model's map where it lies in the frame. */
function heat({ cam, area: [x0, y0, x1, y1] }) {
  return svg("image", { href: cam, x: x0, y: y0, width: x1 - x0, height: y1 - y0, preserveAspectRatio: "none", class: "heat" });
}

/** A face's frame and name. The scores are of the row of that face. */
function drawn(clip, face, time, size) {
  const box = boxAt(face, time);
  if (!box) return null;
  const [x0, y0, x1, y1] = box;
  const row = clip.rows.find((each) => each.face === face.id);
  const score = (row && scoreAt(row, time)) ?? face.score;
  const words = `Face ${face.number}${score === null || score === undefined ? "" : ` · ${percent(score)}`}`;
  const wide = words.length * size * 0.56 + size * 0.6;
  const top = y0 > size * 1.6 ? y0 - size * 1.5 : y1;
  return svg("g", { class: score >= 0.5 ? "face high" : "face" },
    svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: "face-box" }),
    svg("rect", { x: x0, y: top, width: wide, height: size * 1.5, class: "face-tag" }),
    svg("text", { x: x0 + size * 0.3, y: top + size * 1.08, "font-size": size }, words));
}

function key(player, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const far = event.shiftKey ? 5 : 1;
  const typing = event.target.matches?.("select, input, textarea");
  const pressing = event.target.matches?.("button, a, summary");
  const calls = {
    ",": () => player.step(-1), ".": () => player.step(1),
    ArrowLeft: () => player.seek(player.time - far), ArrowRight: () => player.seek(player.time + far),
    Home: () => player.seek(0), End: () => player.seek(player.duration),
    m: () => { player.media.muted = !player.media.muted; },
    " ": pressing ? null : () => player.toggle(),
  };
  if (typing || !calls[event.key]) return false;
  calls[event.key]();
  return true;
}
