// The moments to look at first, and the timeline as a table.
import { worstMoments } from "./clip.js";
import { el } from "./dom.js";
import { clock, percent } from "./format.js";

export function moments(clip, player) {
  const worst = clip.kind === "picture" ? [] : worstMoments(clip);
  if (!worst.length) return null;
  return el("div", { class: "moments" },
    el("h3", {}, "Look here first"),
    el("ul", { class: "chips" }, worst.map((each) => el("li", {}, el("button", { type: "button", on: { click: () => player.seek(each.start) } },
      el("strong", {}, clock(each.start, 1)), ` ${each.row.name} ${percent(each.score)}`)))));
}

export function timelineTable(clip, player) {
  const lines = clip.rows.flatMap((row) => row.spans.map((span) => ({ row, span })));
  if (!lines.length) return null;
  const moving = clip.kind !== "picture";
  return el("details", { class: "twin" },
    el("summary", {}, `The ${moving ? "timeline" : "scores"} as a table (${lines.length} ${lines.length === 1 ? "row" : "rows"})`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores over time" },
      el("table", {},
        el("caption", { class: "visually-hidden" }, "P(fake) of each stretch that was examined"),
        el("thead", {}, el("tr", {}, ["Layer or face", "From", "To", "P(fake)", "Weight"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, lines.map(({ row, span }) => el("tr", {},
          el("th", { scope: "row" }, row.name),
          el("td", {}, moving ? el("button", { type: "button", class: "link", "aria-label": `Go to ${clock(span.start)}, ${row.name}`, on: { click: () => player.seek(span.start) } }, clock(span.start)) : clock(span.start)),
          el("td", {}, clock(span.end)),
          el("td", {}, span.score.toFixed(2)),
          el("td", {}, row.counts ? "counts" : "none")))))));
}
