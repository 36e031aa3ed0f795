// An analyst's own opinion, beside the verdict. Reviews are added, never changed.
import { ask } from "./api.js";
import { announce, card, el, fill, unique } from "./dom.js";
import { when } from "./format.js";
import { problemCard } from "./problem.js";

const OPINIONS = { agree: "Agree", disagree: "Disagree", cannot_tell: "Cannot tell" };

export function reviewCard(job) {
  const list = el("ul", { class: "reviews" });
  const said = el("div", {});
  const note = el("textarea", { id: unique("note"), rows: "2", maxlength: "4000" });
  const name = unique("opinion");
  const radios = Object.entries(OPINIONS).map(([value, words]) => {
    const id = `${name}-${value}`;
    return el("span", { class: "segment" }, el("input", { type: "radio", id, name, value, required: true, class: "visually-hidden" }), el("label", { for: id }, words));
  });
  const truth = truthField();
  const form = el("form", { class: "review", on: { submit, change: asked, reset: () => { truth.node.hidden = true; } } },
    el("fieldset", { class: "opinions" }, el("legend", {}, "Does the verdict fit what you know?"), el("div", { class: "segments-row" }, radios)),
    truth.node,
    el("label", { for: note.id }, "Note: what you saw, or how you know"), note, said,
    el("div", { class: "row end" }, el("button", { class: "primary" }, "Add review")));

  /** Of an inconclusive verdict it is not clear from agreement what the clip is. */
  function asked() {
    const opinion = new FormData(form).get(name);
    truth.ask(job.label === "inconclusive" && opinion !== null && opinion !== "cannot_tell", opinion === "disagree");
  }
  async function submit(event) {
    event.preventDefault();
    const opinion = new FormData(form).get(name);
    try {
      await ask(job.links?.reviews ?? `/jobs/${job.job_id}/reviews`, { method: "POST", body: { opinion, note: note.value, ...truth.said() } });
      form.reset();
      fill(said);
      announce("Review added");
      await show();
    } catch (error) {
      if (error.name !== "AbortError") fill(said, problemCard(error));
    }
  }
  async function show() {
    const found = await ask(job.links?.reviews ?? `/jobs/${job.job_id}/reviews`);
    fill(list, found.reviews.map((each) => el("li", {},
      el("strong", {}, OPINIONS[each.opinion] ?? each.opinion), el("span", { class: "muted small" }, [each.truth && `, it is ${each.truth}`, ` · ${each.reviewer} · ${when(each.created)}`]),
      each.note && el("p", {}, each.note))));
  }
  show().catch((error) => {
    if (error.name !== "AbortError") fill(said, el("p", { class: "muted small" }, `Earlier reviews cannot be shown: ${error.message}`));
  });
  return card("Your review", form, list);
}

/** What the clip is, where that does not follow from the opinion. */
function truthField() {
  const select = el("select", { id: unique("truth") }, el("option", { value: "" }, "Not said"), el("option", { value: "fake" }, "Fake"), el("option", { value: "real" }, "Real"));
  const node = el("div", { class: "row", hidden: true }, el("label", { for: select.id }, "What is it, as far as you know?"), select);
  return {
    node,
    ask(on, must) {
      node.hidden = !on;
      select.required = on && must;
    },
    said: () => (node.hidden || !select.value ? {} : { truth: select.value }),
  };
}
