// An error, in plain words.
import { announce, el, icon } from "./dom.js";
import { sentence } from "./verdict.js";
import { errorWords } from "./words.js";

/** @param {import("./api.js").Problem | Error} error */
export function problemCard(error, ...more) {
  const words = errorWords(error.name_ ?? "");
  const detail = error.detail ?? error.message;
  announce(`${words.title}. ${detail}`);
  return el("div", { class: "problem", role: "alert" },
    icon("failed"),
    el("div", {},
      el("p", { class: "problem-title" }, words.title),
      detail && el("p", {}, sentence(detail)),
      el("p", { class: "muted" }, words.advice),
      error.requestId && el("p", { class: "muted small" }, "Request id ", el("code", {}, error.requestId)),
      ...more));
}
