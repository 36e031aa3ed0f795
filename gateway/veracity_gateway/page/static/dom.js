// Makes elements. Data only ever becomes text or an attribute's value: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; `class`, `on` (listeners), `data` (dataset) and DOM properties
 *   `value`, `checked`, `disabled`, `hidden`, `open`. Null and false leave an attribute out.
 * @param {...any} children nodes, texts, arrays of them; null and false are left out
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "muted"]);

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

/** Put children in place of what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

/** A section with a heading, as every part of the result is. */
export function card(title, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z]+/g, "-")}-${(counter += 1)}`;
  return el("section", { class: "card", "aria-labelledby": id }, el("h2", { id }, title), ...children);
}
let counter = 0;

/** A number that no other call returns, for ids. */
export function unique(prefix) {
  return `${prefix}-${(counter += 1)}`;
}

/** A list of names and values; values may be nodes. */
export function facts(entries) {
  return el("dl", { class: "facts" }, entries.filter((entry) => entry && entry[1] !== null && entry[1] !== undefined)
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

const PATHS = {
  fake: "M12 3 22 20.5H2zM12 9.5v5M12 17.2v.3",
  real: "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zM7.5 12.3l3 3 6-6.5",
  inconclusive: "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zM9 9.3a3 3 0 1 1 4.6 2.6c-1.1.7-1.6 1.2-1.6 2.3M12 17.2v.3",
  play: "M7 4.5v15l12-7.5z", pause: "M7.5 5v14M16.5 5v14", back: "M15 5l-7 7 7 7M5.5 5v14", next: "M9 5l7 7-7 7M18.5 5v14",
  done: "M5 12.5l4.5 4.5L19 7.5", running: "M12 3a9 9 0 1 0 9 9", waiting: "M12 6v6l4 2.5M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19z",
  skipped: "M5 12h14", failed: "M6 6l12 12M18 6L6 18", file: "M6 2.5h8.5L19 7v14.5H6zM14 2.5V7.5h5",
};

/** A drawn sign; the words beside it say the same. */
export function icon(name, className = "icon") {
  return svg("svg", { viewBox: "0 0 24 24", class: `${className} icon-${name}`, "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.skipped }));
}

/** Say something to screen readers. */
export function announce(text) {
  const live = document.getElementById("live");
  if (live && live.textContent !== text) live.textContent = text;
}
