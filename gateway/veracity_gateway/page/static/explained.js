// What the models saw: the moments that weigh most with the model's own map, who speaks, mouths, and the spectrogram.
import { card, el, svg, unique } from "./dom.js";
import { clock, percent } from "./format.js";
import { layerName } from "./words.js";

/** @param {import("./explanation.js").Explanation | null} seen */
export function explained(seen, player) {
  if (!seen) return null;
  return [momentsCard(seen, player), speakersCard(seen, player), mouthsCard(seen, player), spectrogramCard(seen, player)];
}

function faceName(player, id) {
  const face = player.clip.faces.find((each) => each.id === id);
  return face ? `Face ${face.number}` : "";
}

function momentsCard(seen, player) {
  if (!seen.moments.length) return null;
  const list = el("ul", { class: "crops" }, seen.moments.map((each) => moment(each, player)));
  const id = unique("blend");
  const blend = el("input", { id, type: "range", min: "0", max: "100", value: "60", on: { input: () => list.style.setProperty("--cam", String(blend.value / 100)) } });
  list.style.setProperty("--cam", "0.6");
  const anyMap = seen.moments.some((each) => each.cam);
  return card("What weighed most", 
    el("p", { class: "muted small" }, "Pictures as the model got them, the most suspicious first. The heat map is the model's own: bright parts spoke most for a fake in this picture. It shows where a score comes from, and is no evidence of its own."),
    anyMap && el("div", { class: "row blend" }, el("label", { for: id }, "Heat map"), blend), list);
}

function moment(each, player) {
  const who = [layerName(each.layer), faceName(player, each.face)].filter(Boolean).join(", ");
  const words = `${who} at ${clock(each.time)}, P(fake) ${each.score.toFixed(2)}`;
  return el("li", {}, el("button", { type: "button", class: "crop", "aria-label": `Go to ${words}`, on: { click: () => player.seek(each.time) } },
    el("span", { class: "crop-picture" }, el("img", { src: each.crop, alt: "" }), each.cam && el("img", { src: each.cam, alt: "", class: "cam" })),
    el("span", { class: "crop-words" }, el("strong", {}, clock(each.time)), ` ${percent(each.score)}`, el("br"), el("span", { class: "muted" }, who))));
}

function speakersCard(seen, player) {
  const speaking = seen.speaking.filter((each) => each.speaks.length);
  if (!speaking.length) return null;
  return card("Who speaks",
    el("p", { class: "muted small" }, "Where speech is heard in the seconds whose mouths were examined, the one face that is seen to speak. It does not say that the voice is this face's own, and is no evidence."),
    el("ul", {}, speaking.map((each) => el("li", {}, `${faceName(player, each.face) || `Face ${each.face}`} speaks at ${each.speaks.map((span) => `${clock(span.start, 1)}–${clock(span.end, 1)}`).join(", ")}`))));
}

function mouthsCard(seen, player) {
  if (!seen.mouths.length) return null;
  return card("Mouths over time",
    el("p", { class: "muted small" }, "The mouth of each face, frame after frame, as the lips' model got it."),
    seen.mouths.map((strip) => el("figure", { class: "strip" },
      el("figcaption", {}, faceName(player, strip.face) || `Face ${strip.face}`, el("span", { class: "muted" }, ` ${clock(strip.times[0] ?? 0)} to ${clock(strip.times.at(-1) ?? 0)}`)),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Mouth strip" },
        el("div", { class: "strip-inner" }, el("img", { src: strip.png, alt: "" }),
          el("div", { class: "strip-times" }, strip.times.map((time) => el("button", { type: "button", class: "link", "aria-label": `Go to ${clock(time)}`, on: { click: () => player.seek(time) } }, clock(time)))))),
      strip.windows.length > 0 && el("p", { class: "small" }, "Seconds examined: ", strip.windows.map((span) => `${clock(span.start, 1)}–${clock(span.end, 1)} ${percent(span.score)}`).join(", ")))));
}

function spectrogramCard(seen, player) {
  const sound = seen.spectrogram;
  if (!sound) return null;
  const length = Math.max(0.001, sound.end - sound.start);
  const x = (time) => (1000 * (Math.min(sound.end, Math.max(sound.start, time)) - sound.start)) / length;
  const head = svg("line", { y1: 0, y2: 100, class: "spectrogram-head" });
  player.onTime((time) => {
    head.setAttribute("x1", x(time));
    head.setAttribute("x2", x(time));
  });
  const over = svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    sound.spans.map((span) => svg("rect", { x: x(span.start), y: 1, width: Math.max(2, x(span.end) - x(span.start)), height: 98, class: "suspicious" })), head);
  const go = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    player.seek(sound.start + (length * (event.clientX - box.left)) / box.width);
  };
  return card("Spectrogram of the sound",
    el("div", { class: "spectrogram", on: { click: go } }, el("img", { src: sound.png, alt: `Mel spectrogram, ${clock(sound.start)} to ${clock(sound.end)}, up to 8 kHz` }), over),
    el("div", { class: "row between muted small" }, el("span", {}, clock(sound.start)), el("span", {}, "up to 8 kHz, the loudest white"), el("span", {}, clock(sound.end))),
    sound.spans.length
      ? el("ul", { class: "chips" }, sound.spans.map((span) => el("li", {}, el("button", { type: "button", on: { click: () => player.seek(span.start) } }, el("strong", {}, `${clock(span.start, 1)}–${clock(span.end, 1)}`), ` ${percent(span.score)}`))))
      : el("p", { class: "muted small" }, sound.threshold === null ? "No threshold was measured for single stretches of this voice." : "No stretch reaches the voice model's threshold for fake."));
}
