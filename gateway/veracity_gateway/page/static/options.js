// What may be chosen beside the file. The choice lasts while the page is open.
import { el, unique } from "./dom.js";
import { POINTS, POLICIES } from "./words.js";

const USUAL = { policy: "fail_fast", operating_point: "balanced", explain: true, keep_media: false };
const chosen = { ...USUAL };

/** @returns {{node: Node, fields: () => Record<string, string>, json: () => Record<string, any>}} */
export function optionsForm() {
  const said = el("span", { class: "muted" });
  const show = () => {
    said.textContent = [POLICIES[chosen.policy][0], POINTS[chosen.operating_point][0], chosen.keep_media ? "the file is kept" : "the file is deleted after the verdict"].join(" · ");
  };
  show();
  const node = el("details", { class: "options", on: { change: show } },
    el("summary", {}, "Options ", said),
    el("div", { class: "option-grid" },
      radios("policy", "How much to look at", POLICIES),
      radios("operating_point", "How often a word may be wrong", POINTS),
      el("fieldset", {}, el("legend", {}, "Beside the verdict"),
        check("explain", "Show what the models saw", "Pictures of the moments that weigh most; takes a little longer."),
        check("keep_media", "Keep the file", "So that it can be played here later, also by colleagues who see this job."))));
  const json = () => Object.fromEntries(Object.entries(chosen).filter(([name, value]) => value !== (name in SERVER ? SERVER[name] : value)));
  return { node, json, fields: () => Object.fromEntries(Object.entries(json()).map(([name, value]) => [name, String(value)])) };
}

/** What the gateway takes where nothing is said; only what differs is sent. */
const SERVER = { policy: "fail_fast", operating_point: "balanced", explain: false, keep_media: false };

function radios(name, legend, choices) {
  return el("fieldset", {}, el("legend", {}, legend),
    Object.entries(choices).map(([value, [title, line]]) => choice("radio", name, title, line, chosen[name] === value, () => {
      chosen[name] = value;
    })));
}

function check(name, title, line) {
  return choice("checkbox", name, title, line, chosen[name], (on) => {
    chosen[name] = on;
  });
}

function choice(type, name, title, line, on, changed) {
  const id = unique(name);
  const input = el("input", { type, id, name, checked: on, "aria-describedby": `${id}-line`, on: { change: () => changed(input.checked) } });
  return el("div", { class: "choice" }, input, el("div", {}, el("label", { for: id }, title), el("p", { id: `${id}-line`, class: "muted small" }, line)));
}
