// Starts the page: theme, session, and the view that the address names.
import { ask } from "./api.js";
import { compareView } from "./compare.js";
import { announce, el, fill } from "./dom.js";
import { historyView } from "./history.js";
import { jobView } from "./job.js";
import { problemCard } from "./problem.js";
import { readSession, signOut } from "./session.js";
import { startView } from "./start.js";
import { themed } from "./theme.js";

const main = document.getElementById("main");
let leave = () => {}; // stops what the view before has under way
let first = true;

/** @type {[RegExp, string, string, (...ids: string[]) => Promise<{node: Node, stop?: () => void}>][]} */
const ROUTES = [
  [/^#?\/?$/, "start", "Analyse", startView],
  [/^#\/history$/, "history", "History", historyView],
  [/^#\/jobs\/([0-9a-f]{32})$/, "job", "Result", jobView],
  [/^#\/compare\/([0-9a-f]{32})(?:\/([0-9a-f]{32}))?$/, "compare", "Compare", compareView],
];

async function show() {
  if (location.hash === "#main") return; // the skip link
  leave();
  const stopped = { now: false };
  leave = () => {
    stopped.now = true;
  };
  const [ids, route, title, view] = found();
  document.title = `${title} – Veracity`;
  for (const link of document.querySelectorAll("[data-route]")) {
    if (link.dataset.route === route) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  let made;
  try {
    made = await view(...ids);
  } catch (error) {
    made = { node: el("div", { class: "narrow" }, el("h1", { tabindex: "-1" }, title), problemCard(error), el("p", {}, el("a", { href: "#/" }, "To the start"))) };
  }
  if (stopped.now) {
    made.stop?.();
    return;
  }
  leave = made.stop ?? (() => {});
  fill(main, made.node);
  if (!first) main.querySelector("h1")?.focus();
  first = false;
  announce(document.title);
}

function found() {
  for (const [pattern, route, title, view] of ROUTES) {
    const match = pattern.exec(location.hash);
    if (match) return [match.slice(1), route, title, view];
  }
  const nowhere = async () => ({ node: el("div", { class: "narrow" }, el("h1", { tabindex: "-1" }, "No such page"), el("p", {}, el("a", { href: "#/" }, "To the start"))) });
  return [[], "none", "No such page", nowhere];
}

themed(document.getElementById("theme"));
document.getElementById("sign-out").addEventListener("click", signOut);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", show);
ask("/version").then((said) => {
  document.getElementById("version").textContent = `Gateway ${said.gateway}`;
}).catch(() => {});
readSession().catch(() => {}).then(show);
