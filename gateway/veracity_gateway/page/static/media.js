// Where the clip itself comes from: the file that was just sent, the gateway where it is kept, or the analyst's disk.
import { announce, el, fill } from "./dom.js";
import { localFiles } from "./upload.js";

const GONE = 410; // deleted after the verdict, maybe since the job was read

/**
 * @param {(source: {url: string, blob: Blob | null}) => void} found
 * @returns {{node: Node, stop: () => void}}
 */
export function mediaOf(job, clip, found) {
  const node = el("div", { class: "media-source" });
  const urls = [];
  const give = (blob) => {
    const url = URL.createObjectURL(blob);
    urls.push(url);
    fill(node);
    found({ url, blob });
  };
  const choose = () => fill(node, chooser(job, (chosen) => {
    localFiles.set(job.job_id, chosen);
    give(chosen);
  }));
  const file = localFiles.get(job.job_id);
  if (file) give(file);
  else if (!job.media) choose();
  else kept(job, clip, { give, found, choose }).catch(() => fill(node, el("p", { class: "note" }, "The file could not be fetched.")));
  return { node, stop: () => urls.forEach((url) => URL.revokeObjectURL(url)) };
}

/** A picture is fetched whole, since it is sent as a file to save; players ask for the parts they need. */
async function kept(job, clip, { give, found, choose }) {
  const whole = clip.kind === "picture";
  const answer = await fetch(job.links.media, whole ? {} : { headers: { Range: "bytes=0-0" } });
  if (answer.status === GONE) choose();
  else if (!answer.ok) throw new Error(answer.statusText);
  else if (whole) give(await answer.blob());
  else found({ url: job.links.media, blob: null });
}

function chooser(job, use) {
  const said = el("p", { class: "error-line", role: "alert" });
  const input = el("input", { type: "file", id: "own-file", class: "visually-hidden", on: { change: check } });
  async function check() {
    const file = input.files[0];
    if (!file) return;
    fill(said, "Comparing with what was analysed…");
    const reason = await differs(file, job);
    if (reason) {
      said.textContent = reason;
      return;
    }
    announce("The file is the one that was analysed");
    use(file);
  }
  return el("div", { class: "note" },
    el("p", {}, "The gateway did not keep this file. Choose your copy to see it here; it is compared by its sha256 and not sent anywhere."),
    input, el("label", { for: "own-file", class: "button" }, "Choose the file"), said);
}

async function differs(file, job) {
  if (file.size !== job.bytes) return "This is another file: its size differs.";
  if (!crypto.subtle) return null; // no digests outside https; the size is all that can be compared
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex === job.sha256 ? null : "This is another file: its sha256 differs.";
}
