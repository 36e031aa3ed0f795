// Who is signed in. A gateway without keys knows no sessions (404): everybody on the machine is "local".
import { ask, useToken } from "./api.js";
import { el, fill } from "./dom.js";

let asked = null; // the dialog that is open, for all requests that wait for it

/** Read the session; signs nobody in. */
export async function readSession() {
  const found = await ask("/session", { signIn: false }).catch((error) => ({ error }));
  if (found.error && found.error.status !== 401 && found.error.status !== 404) throw found.error;
  useToken(found.csrf);
  const who = document.getElementById("who");
  const local = !found.error && found.name === "local";
  who.textContent = found.error || local ? "" : found.name;
  document.getElementById("sign-out").hidden = Boolean(found.error) || local;
  return found.error?.status !== 401;
}

export async function signOut() {
  await ask("/session", { method: "DELETE", signIn: false });
  useToken(null);
  location.reload();
}

/** Open the dialog; resolves when someone is signed in. Pressing Escape rejects. */
export function askToSignIn() {
  asked ??= dialog().finally(() => {
    asked = null;
  });
  return asked;
}

function dialog() {
  return new Promise((resolve, reject) => {
    const key = el("input", { id: "api-key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "sign-in-error" });
    const said = el("p", { id: "sign-in-error", class: "error-line", role: "alert" });
    const box = el("dialog", { class: "dialog", "aria-labelledby": "sign-in-title", on: { cancel: () => reject(new DOMException("not signed in", "AbortError")), close: () => box.remove() } },
      el("form", { on: { submit } },
        el("h2", { id: "sign-in-title" }, "Sign in"),
        el("p", { class: "muted" }, "With an API key of this gateway. The key is exchanged for a session and is not kept in the browser."),
        el("label", { for: "api-key" }, "API key"), key, said,
        el("div", { class: "row end" }, el("button", { class: "primary" }, "Sign in"))));
    async function submit(event) {
      event.preventDefault();
      fill(said);
      try {
        await ask("/session", { method: "POST", body: { api_key: key.value }, signIn: false });
        key.value = "";
        await readSession();
        box.close();
        resolve();
      } catch (error) {
        said.textContent = error.status === 401 ? "This key is not known, or was revoked." : error.message;
        key.focus();
      }
    }
    document.body.append(box);
    box.showModal();
  });
}
