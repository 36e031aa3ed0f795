// The first view: drop files, choose them, or give an address; options; the upload.
import { ask } from "./api.js";
import { announce, el, fill, icon } from "./dom.js";
import { bytes, percent } from "./format.js";
import { optionsForm } from "./options.js";
import { problemCard } from "./problem.js";
import { upload } from "./upload.js";

const ACCEPT = "video/*,audio/*,image/*,.mkv,.ts,.heic,.ogg,.opus";

export async function startView() {
  const options = optionsForm();
  const below = el("div", { class: "upload-state" });
  let sending = null;

  const input = el("input", { id: "file", type: "file", accept: ACCEPT, multiple: true, class: "visually-hidden", on: { change: () => take(input.files) } });
  const drop = el("div", { class: "drop" },
    icon("file", "drop-icon"),
    el("p", { class: "drop-title" }, "Drop a video, sound or picture here"),
    el("div", { class: "row center" }, input, el("label", { for: "file", class: "button primary" }, "Choose files")),
    el("p", { class: "muted small" }, "Give the original if you can: each re-encoding hides traces. Files are deleted after the verdict unless you ask to keep them."));
  const address = el("input", { id: "url", type: "url", placeholder: "https://…", required: true, spellcheck: "false", autocomplete: "off", "aria-describedby": "url-help" });
  const form = el("form", { class: "address", on: { submit: fetched } },
    el("label", { for: "url" }, "Or the address of a file"),
    el("div", { class: "row" }, address, el("button", {}, "Analyse the address")),
    el("p", { id: "url-help", class: "muted small" }, "A public http or https address that leads to the file itself, not to a page with a player."));
  const listeners = dropping(drop, take);

  /** Send files one after the other; a single one leads to its job. */
  async function take(files) {
    const chosen = [...files];
    if (!chosen.length || sending) return;
    const refused = [];
    let job = null;
    for (const [number, file] of chosen.entries()) {
      const counted = chosen.length > 1 ? ` (${number + 1} of ${chosen.length})` : "";
      try {
        job = await sent(file, counted);
      } catch (error) {
        if (error.name === "AbortError") break;
        refused.push([file, error]);
      }
    }
    input.value = "";
    sending = null;
    drop.classList.remove("busy");
    fill(below, refused.map(([file, error]) => el("div", {}, el("p", { class: "file-name" }, file.name), problemCard(error))));
    if (refused.length || !job) return;
    location.hash = chosen.length > 1 ? "#/history" : `#/jobs/${job.job_id}`;
  }

  function sent(file, counted) {
    const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    const amount = el("span", { class: "muted" }, "0 %");
    let tenth = -1;
    sending = upload(file, options.fields(), (fraction) => {
      bar.value = fraction;
      amount.textContent = fraction < 1 ? `${percent(fraction)} of ${bytes(file.size)}` : "Sent, being checked";
      if (Math.floor(fraction * 4) !== tenth) announce(`Upload ${percent(fraction)}`);
      tenth = Math.floor(fraction * 4);
    });
    drop.classList.add("busy");
    fill(below, el("div", { class: "uploading" },
      el("p", { class: "file-name" }, file.name, counted),
      bar,
      el("div", { class: "row between" }, amount, el("button", { type: "button", on: { click: () => sending?.abort() } }, "Cancel upload"))));
    return sending.done;
  }

  async function fetched(event) {
    event.preventDefault();
    fill(below);
    try {
      const job = await ask("/analyze-video", { method: "POST", body: { video_url: address.value, ...options.json() } });
      location.hash = `#/jobs/${job.job_id}`;
    } catch (error) {
      if (error.name !== "AbortError") fill(below, problemCard(error));
    }
  }

  const node = el("div", { class: "start" },
    el("div", { class: "intro" },
      el("h1", { tabindex: "-1" }, "Is this recording what it claims to be?"),
      el("p", { class: "lead" }, "Four independent looks at a clip – the voice, the faces, the lips, the whole picture – and one answer with its reasons, its limits and how often it is wrong.")),
    drop, below, form, options.node);
  return { node, stop: () => {
    listeners();
    sending?.abort();
  } };
}

/** Take files that are dropped anywhere on the page. */
function dropping(zone, take) {
  let depth = 0;
  const has = (event) => event.dataTransfer?.types.includes("Files");
  const calls = {
    dragenter: (event) => has(event) && (depth += 1) && zone.classList.add("over"),
    dragleave: (event) => has(event) && (depth -= 1) < 1 && zone.classList.remove("over"),
    dragover: (event) => has(event) && event.preventDefault(),
    drop: (event) => {
      if (!has(event)) return;
      event.preventDefault();
      depth = 0;
      zone.classList.remove("over");
      take(event.dataTransfer.files);
    },
  };
  for (const [name, call] of Object.entries(calls)) document.addEventListener(name, call);
  return () => Object.entries(calls).forEach(([name, call]) => document.removeEventListener(name, call));
}
