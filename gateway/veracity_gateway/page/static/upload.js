// Sends a file with its options; XMLHttpRequest, because fetch does not say how much was sent.
import { noAnswer, problemOfText, tokenHeaders } from "./api.js";
import { askToSignIn } from "./session.js";

/** Files of this session by job, so that the player need not fetch them. @type {Map<string, File>} */
export const localFiles = new Map();

/**
 * @param {File} file
 * @param {Record<string, string>} options fields of the form
 * @param {(fraction: number) => void} progress
 * @returns {{done: Promise<{job_id: string, message: string}>, abort: () => void}}
 */
export function upload(file, options, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    const send = () => {
      request.open("POST", "/analyze-video");
      for (const [name, value] of Object.entries(tokenHeaders())) request.setRequestHeader(name, value);
      request.send(form(file, options));
    };
    request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener("error", () => reject(noAnswer()));
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    request.addEventListener("load", () => {
      if (request.status === 401) {
        askToSignIn().then(send, reject);
      } else if (request.status !== 202) {
        reject(problemOfText(request.responseText, request.status, request.getResponseHeader("x-request-id")));
      } else {
        const job = JSON.parse(request.responseText);
        localFiles.set(job.job_id, file);
        resolve(job);
      }
    });
    send();
  });
  return { done, abort: () => request.abort() };
}

function form(file, options) {
  const body = new FormData();
  for (const [name, value] of Object.entries(options)) body.append(name, value);
  body.append("video", file, file.name || "file");
  return body;
}
