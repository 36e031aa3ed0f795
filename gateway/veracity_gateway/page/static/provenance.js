// What the file says of itself. Beside the verdict, never part of it.
import { card, el, facts } from "./dom.js";
import { sentence } from "./verdict.js";

const STATES = {
  trusted: "Content credentials of a known signer", valid: "Content credentials of an unknown signer", invalid: "Content credentials that do not hold",
  none: "No content credentials", unreadable: "Content credentials could not be read",
};

export function provenanceCard(found) {
  if (!found) return null;
  return card("What the file says of itself",
    el("p", { class: "muted small" }, found.notice),
    el("p", {}, el("strong", {}, STATES[found.state] ?? `Content credentials: ${found.state}`)),
    found.means && el("p", {}, found.means),
    declared(found.declared ?? []),
    credentials(found.credentials),
    metadata(found.metadata));
}

function declared(marks) {
  if (!marks.length) return el("p", {}, "It declares no origin, edit or machine of itself.");
  return el("ul", { class: "declared" }, marks.map((mark) => el("li", {},
    el("strong", {}, "It says: "), sentence(mark.what), el("div", { class: "muted small" }, `${mark.where}: “${mark.says}”`))));
}

function credentials(found) {
  if (!found) return null;
  return el("details", {}, el("summary", {}, "The credentials"),
    facts([
      ["Signed in the name of", [found.signer?.organisation, found.signer?.name].filter(Boolean).join(", ") || null],
      ["Signed at", found.signed_at && `${found.signed_at}${found.time_stamp ? ` (time stamp: ${found.time_stamp})` : ""}`],
      ["Made with", found.generator],
      ["Ingredients", found.ingredients || null],
    ]),
    found.actions?.length > 0 && [el("p", {}, "According to the signer:"), el("ul", {}, found.actions.map((action) => el("li", {},
      [action.means, action.source_means, action.software, action.when].filter(Boolean).join(" · "))))],
    found.problems?.length > 0 && [el("p", {}, "What does not hold:"), el("ul", {}, found.problems.map((each) => el("li", {}, each.means, " ", el("code", { class: "small" }, each.code))))]);
}

function metadata(found) {
  if (!found) return null;
  const list = (values) => (values?.length ? values.join(", ") : null);
  return el("details", {}, el("summary", {}, "Metadata in the file"), facts([
    ["Container", found.format],
    ["Camera", [found.make, found.model].filter(Boolean).join(" ") || null],
    ["Software", list(found.software)],
    ["Created", list(found.created)],
    ["Changed", list(found.changed)],
    ["Names a place", found.location ? "yes (not shown)" : "no"],
    ["Edits", found.edits?.length ? found.edits.map((edit) => [edit.action, edit.when, edit.software].filter(Boolean).join(", ")).join("; ") : null],
    ["Could not be read", list(found.unread)],
  ]));
}
