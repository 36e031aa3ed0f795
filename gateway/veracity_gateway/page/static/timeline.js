// The timeline: a row a layer and a face, as high as the score; a waveform; one playhead. A slider for the keyboard.
import { scoreAt } from "./clip.js";
import { el, fill, svg } from "./dom.js";
import { clock, percent } from "./format.js";
import { drawWaveform } from "./waveform.js";

const WIDE = 1000; // units of a row's picture
const HIGH = 40;
const MOST_FACES = 6; // shown before all are asked for

/** @param {import("./clip.js").Clip} clip @param {ReturnType<import("./player.js").createPlayer>} player */
export function createTimeline(clip, player) {
  const total = clip.seconds || 1;
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const wave = el("canvas", { class: "wave", width: 1000, height: 48, "aria-hidden": "true" });
  const waveRow = el("div", { class: "track", hidden: true }, el("span", { class: "track-name" }, "Sound"), el("div", { class: "plot" }, wave));
  const head = el("div", { class: "playhead" });
  const rows = clip.rows.map((row) => track(row, total));
  const layers = rows.filter((_, index) => clip.rows[index].face === null);
  const faces = rows.filter((_, index) => clip.rows[index].face !== null);
  for (const node of faces.slice(MOST_FACES)) node.hidden = true;
  const more = faces.length > MOST_FACES && el("button", { type: "button", class: "quiet", on: { click: () => {
    for (const node of faces) node.hidden = false;
    more.remove();
  } } }, `Show all ${faces.length} faces`);
  const area = el("div", {
    class: "tracks", tabindex: "0", role: "slider", "aria-label": "Position in the clip", "aria-valuemin": "0",
    "aria-valuemax": total.toFixed(2), "aria-describedby": "timeline-help",
    on: { keydown: (event) => player.key(event) && event.preventDefault(), pointerdown: press, pointermove: (event) => event.buttons === 1 && go(event) },
  }, waveRow, layers, faces, el("div", { class: "track axis-track" }, el("span", { class: "track-name" }, ""), el("div", { class: "plot axis" }, ticks(total), head)));

  function press(event) {
    area.setPointerCapture(event.pointerId);
    go(event);
  }
  function go(event) {
    const plot = head.parentElement.getBoundingClientRect();
    player.seek(((event.clientX - plot.left) / plot.width) * total);
  }
  player.onTime((time) => {
    head.style.setProperty("--at", `${(100 * Math.min(1, time / total)).toFixed(3)}%`);
    const said = clip.rows.map((row) => [row.name, scoreAt(row, time)]).filter(([, score]) => score !== null).map(([name, score]) => `${name} ${percent(score)}`);
    readout.textContent = `${clock(time)}  ${said.join(" · ") || "nothing was examined here"}`;
    area.setAttribute("aria-valuenow", time.toFixed(2));
    area.setAttribute("aria-valuetext", `${clock(time, 1)} of ${clock(total, 1)}. ${said.join(", ") || "nothing was examined here"}`);
  });
  let stopped = false;
  return {
    node: el("div", { class: "timeline" }, readout, area, more,
      el("p", { id: "timeline-help", class: "muted small" }, "The higher and fuller a bar, the likelier a fake; the dashed line is 50 %. Striped: not examined. Faint: measured, but carries no weight. Click or drag to go there.")),
    async load(source) {
      const drawn = await drawWaveform(wave, source).catch(() => false);
      if (!stopped) waveRow.hidden = !drawn;
    },
    stop() { stopped = true; },
  };
}

/** One row: stripes where nothing was examined, bars where something was. */
function track(row, total) {
  const x = (time) => (WIDE * time) / total;
  const width = (from, to) => Math.max(2, x(to) - x(from));
  const parts = row.spans.map((span) => {
    const height = Math.max(1.5, HIGH * span.score);
    return [
      svg("rect", { x: x(span.start), y: 0, width: width(span.start, span.end), height: HIGH, class: "looked" }),
      svg("rect", { x: x(span.start), y: HIGH - height, width: width(span.start, span.end), height, class: span.score >= 0.5 ? "bar high" : "bar" }),
    ];
  });
  const present = row.face === null ? null : svg("rect", { x: x(row.start), y: HIGH - 1.5, width: width(row.start, row.end), height: 1.5, class: "present" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, parts, present,
    svg("line", { x1: 0, x2: WIDE, y1: HIGH / 2, y2: HIGH / 2, class: "half" }));
  const worst = row.spans.length ? Math.max(...row.spans.map((span) => span.score)) : null;
  return el("div", { class: `track${row.counts ? "" : " weightless"}${row.face === null ? "" : " of-face"}`, data: { row: row.key } },
    el("span", { class: "track-name" }, row.name, worst !== null && el("span", { class: "muted" }, ` max ${percent(worst)}`)),
    el("div", { class: "plot" }, picture));
}

function ticks(total) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((each) => total / each <= 6) ?? 1800;
  const marks = [];
  for (let time = 0; time <= total * 0.97; time += step) {
    const mark = el("span", { class: "tick" }, clock(time, step < 1 ? 1 : 0));
    mark.style.setProperty("--at", `${(100 * time) / total}%`);
    marks.push(mark);
  }
  return marks;
}
