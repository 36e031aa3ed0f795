// The verdict in plain words: the word, how strong the findings are, how often such words were wrong, what limits them.
import { card, el, facts, icon, svg, unique } from "./dom.js";
import { duration, percent, share, times } from "./format.js";
import { LABELS, LAYERS, POINTS, POLICIES, STATUS } from "./words.js";

const MOMENT = 0.1; // seconds: a picture has no length to speak of

export function verdictCard(verdict) {
  const label = LABELS[verdict.label] ?? LABELS.inconclusive;
  return el("section", { class: `card verdict is-${verdict.label}`, "aria-labelledby": "verdict-title" },
    el("div", { class: "verdict-word" }, icon(verdict.label, "icon verdict-icon"),
      el("div", {},
        el("h2", { id: "verdict-title" }, label.word),
        el("p", { class: "verdict-line" }, label.line),
        verdict.inconclusive_reason && el("p", {}, el("strong", {}, "Why: "), sentence(verdict.inconclusive_reason.text)))),
    degraded(verdict),
    el("div", { class: "verdict-parts" }, strength(verdict), howOften(verdict)),
    el("details", { class: "reasoning" }, el("summary", {}, "The reasoning in full"), el("p", {}, verdict.reasoning)));
}

function degraded(verdict) {
  const reasons = verdict.degraded_reasons ?? [];
  if (!verdict.degraded && !reasons.length && verdict.calibrated) return null;
  return el("div", { class: "warning", role: "note" },
    verdict.degraded && [el("p", {}, el("strong", {}, "Something did not work. "), "Ask again, or have the server looked at, before you act on this."), el("ul", {}, reasons.map((each) => el("li", {}, sentence(each.text))))],
    !verdict.calibrated && el("p", {}, el("strong", {}, "Not calibrated. "), "The thresholds were not fitted to the models that answered."));
}

function strength(verdict) {
  const ratio = verdict.likelihood_ratio;
  if (!ratio) return null;
  const side = ratio.log10 >= 0 ? ["fake", "real"] : ["real", "fake"];
  const factor = times(ratio.log10);
  return el("div", {},
    el("h3", {}, "How strong the findings are"),
    el("p", { class: "big" }, sentence(ratio.words)),
    el("p", {}, factor === "1.0" ? "They are as likely if the clip is fake as if it is real."
      : `They are about ${factor} times likelier if the clip is ${side[0]} than if it is ${side[1]}.`),
    scale(ratio),
    el("p", { class: "muted small" }, `Likelihood ratio, log10 ${signed(ratio.log10)}; the measured clips can tell from ${signed(ratio.low)} to ${signed(ratio.high)}.`),
    verdict.fake_probability !== null && prior(ratio, verdict.fake_probability));
}

/** The ratio on a line from "real" to "fake", with the range that the measurements can tell. */
function scale(ratio) {
  const most = Math.max(3, Math.ceil(Math.max(Math.abs(ratio.low), Math.abs(ratio.high))));
  const x = (log10) => 150 + (140 * log10) / most;
  return svg("svg", { viewBox: "0 0 300 44", class: "scale", role: "img", "aria-label": `Likelihood ratio ${signed(ratio.log10)} on a scale from ${signed(ratio.low)}, real, to ${signed(ratio.high)}, fake` },
    svg("line", { x1: 10, x2: 290, y1: 18, y2: 18, class: "scale-all" }),
    svg("line", { x1: x(ratio.low), x2: x(ratio.high), y1: 18, y2: 18, class: "scale-range" }),
    svg("line", { x1: 150, x2: 150, y1: 10, y2: 26, class: "scale-mid" }),
    svg("circle", { cx: x(ratio.log10), cy: 18, r: 6.5, class: "scale-at" }),
    svg("text", { x: 10, y: 41 }, "real"), svg("text", { x: 150, y: 41, "text-anchor": "middle" }, "either"), svg("text", { x: 290, y: 41, "text-anchor": "end" }, "fake"));
}

/** What follows for whoever had another belief beforehand than the verdict's `prior`, 0.5: odds are multiplied. */
function prior(ratio, probability) {
  const id = unique("prior");
  const after = el("output", { for: id });
  const before = el("output", { for: id });
  const input = el("input", { id, type: "range", min: "1", max: "99", value: String(Math.round(100 * ratio.prior)), on: { input: show } });
  function show() {
    const odds = (input.value / (100 - input.value)) * ((1 - ratio.prior) / ratio.prior);
    before.textContent = `${input.value} %`;
    const found = (odds * probability) / (odds * probability + 1 - probability);
    after.textContent = percent(found);
  }
  show();
  return el("div", { class: "prior" },
    el("label", { for: id }, "If beforehand you held a fake for ", before, " likely, then now for ", el("strong", {}, after)), input);
}

function howOften(verdict) {
  const rates = verdict.rates;
  const [point] = POINTS[verdict.operating_point] ?? [verdict.operating_point];
  return el("div", {},
    el("h3", {}, "How often such an answer is wrong"),
    rates ? rateWords(rates) : el("p", {}, "Not known: no rates were measured for the models that answered."),
    facts([
      ["P(fake)", verdict.fake_probability === null ? "none" : verdict.fake_probability.toFixed(2)],
      ["Called fake from", threshold(verdict.thresholds?.fake)],
      ["Called real up to", threshold(verdict.thresholds?.real)],
      ["Operating point", point],
      ["How much was asked", (POLICIES[verdict.policy] ?? [verdict.policy])[0]],
      ["Models", verdict.profile.name],
    ]),
    el("details", {}, el("summary", {}, "How well these models measured"), el("p", { class: "small" }, sentence(verdict.profile.statement))));
}

function threshold(value) {
  return value === null || value === undefined ? "never: the measurements do not support the word" : String(value);
}

function rateWords(rates) {
  if (rates.inconclusive === 1) return el("p", {}, `On ${rates.reals} real and ${rates.fakes} fake clips that nothing was fitted on, every answer was inconclusive at this operating point.`);
  return el("div", {},
    el("p", {}, `Measured on ${rates.reals} real and ${rates.fakes} fake clips that nothing was fitted on:`),
    el("ul", { class: "rates" },
      el("li", {}, el("strong", {}, share(rates.real_called_fake)), " of the real ones were called fake"),
      el("li", {}, el("strong", {}, share(rates.fake_called_real)), " of the fakes were called real (of the kind with the most)"),
      el("li", {}, el("strong", {}, share(rates.inconclusive)), " stayed inconclusive")));
}

/** What was looked at, what was not, and why. */
export function examinedTable(verdict) {
  return card("What was looked at", el("ul", { class: "examined" }, Object.entries(verdict.layer_results).map(([key, layer]) => {
    const scored = layer.status === "scored";
    return el("li", { class: scored ? "yes" : "no" }, icon(scored ? "done" : layer.status === "failed" ? "failed" : "skipped"),
      el("div", {}, el("strong", {}, LAYERS[key]?.name ?? key), " ",
        el("span", { class: "muted" }, scored ? coverage(layer.coverage) : `${STATUS[layer.status] ?? "No score"}: ${layer.reason}`),
        scored && layer.weight === 0 && el("div", { class: "muted small" }, "Carries no weight in the answer")));
  })));
}

export function coverage(found) {
  if (!found) return "looked at";
  const samples = `${found.samples} ${found.samples === 1 ? "sample" : "samples"}`;
  if (found.seconds_total < MOMENT) return samples;
  const part = found.seconds_total > 0 ? ` (${share(Math.min(1, found.seconds_examined / found.seconds_total))})` : "";
  return `${duration(found.seconds_examined)} of ${duration(found.seconds_total)}${part}, ${samples}`;
}

export function sentence(text) {
  const said = String(text ?? "").trim();
  return said && `${said[0].toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}`;
}

const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;
