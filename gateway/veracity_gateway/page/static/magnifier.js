// A frame in a dialog, up to eight times as large; dragged, or moved with the arrow keys.
import { el, unique } from "./dom.js";

const STEP = 60; // pixels that an arrow key moves
const MOST = 8;

export function magnify(canvas, words) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Frame at ${words}`);
  const id = unique("zoom");
  const zoom = el("input", { id, type: "range", min: "1", max: String(MOST), step: "0.25", value: "1", on: { input: () => show(Number(zoom.value)) } });
  const pane = el("div", { class: "magnifier", tabindex: "0", role: "region", "aria-label": "Magnified frame; plus and minus zoom, arrows move", on: { keydown: key, pointerdown: drag, wheel } }, canvas);
  const box = el("dialog", { class: "dialog wide", "aria-label": `Frame at ${words}`, on: { close: () => box.remove() } },
    el("div", { class: "row between" }, el("strong", {}, words),
      el("div", { class: "row" }, el("label", { for: id }, "Zoom"), zoom, el("button", { type: "button", on: { click: () => box.close() } }, "Close"))),
    pane);

  function show(factor) {
    const before = canvas.clientWidth || 1;
    zoom.value = String(Math.min(MOST, Math.max(1, factor)));
    canvas.style.width = `${100 * zoom.value}%`;
    canvas.classList.toggle("pixels", zoom.value >= 3);
    const grown = canvas.clientWidth / before;
    pane.scrollLeft = (pane.scrollLeft + pane.clientWidth / 2) * grown - pane.clientWidth / 2;
    pane.scrollTop = (pane.scrollTop + pane.clientHeight / 2) * grown - pane.clientHeight / 2;
  }
  function key(event) {
    const calls = {
      "+": () => show(Number(zoom.value) + 0.5), "=": () => show(Number(zoom.value) + 0.5), "-": () => show(Number(zoom.value) - 0.5),
      ArrowLeft: () => pane.scrollBy(-STEP, 0), ArrowRight: () => pane.scrollBy(STEP, 0), ArrowUp: () => pane.scrollBy(0, -STEP), ArrowDown: () => pane.scrollBy(0, STEP),
    };
    if (!calls[event.key]) return;
    event.preventDefault();
    calls[event.key]();
  }
  function wheel(event) {
    event.preventDefault();
    show(Number(zoom.value) * (event.deltaY < 0 ? 1.15 : 0.87));
  }
  function drag(event) {
    let { clientX: x, clientY: y } = event;
    pane.setPointerCapture(event.pointerId);
    const move = (moved) => {
      pane.scrollBy(x - moved.clientX, y - moved.clientY);
      ({ clientX: x, clientY: y } = moved);
    };
    pane.addEventListener("pointermove", move);
    pane.addEventListener("pointerup", () => pane.removeEventListener("pointermove", move), { once: true });
  }
  document.body.append(box);
  box.showModal();
  pane.focus();
}
