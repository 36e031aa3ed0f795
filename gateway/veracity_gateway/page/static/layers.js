// A card a layer: what it asks, its score or why it has none, what it cannot see, and its models.
import { el, facts, icon } from "./dom.js";
import { percent } from "./format.js";
import { coverage, sentence } from "./verdict.js";
import { LAYERS, LIMITS, STATUS } from "./words.js";

/** @param {any} verdict @param {import("./explanation.js").Explanation | null} seen */
export function layerCards(verdict, seen) {
  return el("section", { "aria-labelledby": "layers-title" },
    el("h2", { id: "layers-title", class: "section-title" }, "The four looks, one by one"),
    el("div", { class: "layers" }, Object.entries(verdict.layer_results).map(([key, layer]) => layerCard(key, layer, seen))));
}

function layerCard(key, layer, seen) {
  const scored = layer.status === "scored";
  const said = !scored ? "inconclusive" : layer.is_fake === true ? "fake" : layer.is_fake === false ? "real" : "inconclusive";
  return el("article", { class: `card layer is-${said}`, "aria-labelledby": `layer-${key}` },
    el("header", {},
      el("div", {}, el("h3", { id: `layer-${key}` }, LAYERS[key]?.name ?? key), el("p", { class: "muted small" }, LAYERS[key]?.asks ?? "")),
      el("p", { class: "layer-score" }, scored && layer.fake_probability !== null ? [icon(said), percent(layer.fake_probability)] : STATUS[layer.status] ?? layer.status)),
    scored && layer.fake_probability !== null && meter(layer.fake_probability),
    el("p", {}, sentence(scored ? words(layer) : layer.reason)),
    facts([
      ["Status", STATUS[layer.status] ?? layer.status],
      ["Weight", scored ? (layer.weight ? `sees ${percent(layer.weight)} of the measured fakes` : "none: measured, and does not separate real from fake") : null],
      ["Examined", layer.coverage ? coverage(layer.coverage) : null],
      ["Models agree", layer.agreement === null || layer.agreement === undefined ? null : percent(layer.agreement)],
      ["Lips and sound do not fit", number(layer.mismatch_score)],
      ["Traces of a generator", signature(layer.generative_signature, seen?.signature)],
    ]),
    layer.models.map(model));
}

function words(layer) {
  return layer.reasoning.replace(/^the [a-z ]+: /, "");
}

const number = (value) => (value === null || value === undefined ? null : value.toFixed(2));

/** The number, and its word where pictures of what the models saw were asked for: 0.52 → "moderate, 0.52". */
function signature(value, word) {
  return [word, number(value)].filter(Boolean).join(", ") || null;
}

function meter(value) {
  const bar = el("div", { class: "meter-bar" });
  bar.style.setProperty("--at", `${100 * value}%`);
  return el("div", { class: "meter", "aria-hidden": "true" }, bar);
}

function model(found) {
  const limits = LIMITS[found.name];
  return [
    limits && el("div", { class: "limits" }, el("h4", {}, "What it cannot see"), el("ul", {}, limits.map((each) => el("li", {}, each)))),
    el("details", { class: "model" },
      el("summary", {}, `Model ${found.name}`),
      facts([
        ["How well it measured", found.measured ? sentence(found.measured) : "not measured"],
        ["Licence", found.licence],
        ["Version", found.version],
        ["sha256", el("code", { class: "digest" }, found.sha256)],
        ["Learned from", el("span", { class: "small" }, found.trained_on)],
      ])),
  ];
}
