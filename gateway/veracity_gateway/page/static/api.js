// Asks the gateway. Errors are Problem; a 401 opens the sign-in dialog, and the request is made again.
import { askToSignIn } from "./session.js";

/** An error as the gateway says it (RFC 9457). */
export class Problem extends Error {
  /** @param {{type?: string, title?: string, status?: number, detail?: string, request_id?: string}} body */
  constructor(body) {
    super(body.detail || body.title || "no detail");
    this.name_ = String(body.type ?? "").split(":").pop() || "InternalError";
    this.status = body.status ?? 0;
    this.detail = body.detail ?? "";
    this.requestId = body.request_id ?? null;
  }
}

export const noAnswer = () => new Problem({ type: "urn:veracity:error:NoAnswer", detail: "" });

let csrf = null;

/** Remember the token that requests which change something carry. */
export function useToken(token) {
  csrf = token || null;
}

export const tokenHeaders = () => (csrf ? { "X-CSRF-Token": csrf } : {});

/**
 * @param {string} path
 * @param {{method?: string, body?: any, signIn?: boolean, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} the JSON, or null where there is no body
 */
export async function ask(path, { method = "GET", body, signIn = true, signal } = {}) {
  const headers = method === "GET" ? {} : tokenHeaders();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin" };
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw noAnswer();
  }
  if (answer.status === 401 && signIn) {
    await askToSignIn();
    return ask(path, { method, body, signal });
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

/** The error of an answer, whether or not its body is a problem. */
async function problemOf(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Problem({ status: answer.status, request_id: answer.headers.get("x-request-id"), ...said });
}

/** The same for an XMLHttpRequest that is done. */
export function problemOfText(text, status, requestId) {
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    // an answer of something between the gateway and us
  }
  return new Problem({ status, request_id: requestId, ...said });
}
