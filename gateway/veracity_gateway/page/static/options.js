// What may be chosen beside the file. The choice lasts while the page is open.
import { el, unique } from "./dom.js";
import { LAYERS, POINTS, POLICIES } from "./words.js";

const LOOKS = Object.entries(LAYERS).map(([key, words]) => ({ asked: key.slice(2), ...words })); // "1_audio" is asked for as "audio"

const USUAL = { policy: "fail_fast", operating_point: "balanced", explain: true, keep_media: false };
const chosen = { ...USUAL };
const looks = new Set(LOOKS.map((look) => look.asked));

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
      el("fieldset", {}, el("legend", {}, "What to look at"), LOOKS.map(look)),
      el("fieldset", {}, el("legend", {}, "Beside the verdict"),
        check("explain", "Show what the models saw", "Pictures of the moments that weigh most; takes a little longer."),
        check("keep_media", "Keep the file", "So that it can be played here later, also by colleagues who see this job."))));
  const json = () => ({
    ...Object.fromEntries(Object.entries(chosen).filter(([name, value]) => value !== SERVER[name])),
    ...(looks.size < LOOKS.length && { layers: [...looks] }),
  });
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

/** One of the looks; the last that is left stays. */
function look({ asked, name, asks }) {
  return choice("checkbox", "layers", name, asks, looks.has(asked), (on, input) => {
    if (on) looks.add(asked);
    else if (looks.size > 1) looks.delete(asked);
    else input.checked = true;
  });
}

function choice(type, name, title, line, on, changed) {
  const id = unique(name);
  const input = el("input", { type, id, name, checked: on, "aria-describedby": `${id}-line`, on: { change: () => changed(input.checked, input) } });
  return el("div", { class: "choice" }, input, el("div", {}, el("label", { for: id }, title), el("p", { id: `${id}-line`, class: "muted small" }, line)));
}
