// Light, dark, or as the system has it.
const NAMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const NEXT = { auto: "light", light: "dark", dark: "auto" };

/** Make a button go round the themes; the choice is kept in this browser. */
export function themed(button) {
  let chosen = read();
  const show = () => {
    document.documentElement.dataset.theme = chosen;
    button.textContent = NAMES[chosen];
  };
  button.addEventListener("click", () => {
    chosen = NEXT[chosen];
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // a browser that keeps nothing: it holds until the page is closed
    }
    show();
  });
  show();
}

function read() {
  try {
    const kept = localStorage.getItem("theme");
    return kept in NAMES ? kept : "auto";
  } catch {
    return "auto";
  }
}
