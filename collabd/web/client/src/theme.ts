import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

// public/theme.js reads the same key, as a bare word, before the first paint.
const KEY = "collabd.theme";

function stored(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export const theme = signal<Theme>(stored());

effect(() => {
  const root = document.documentElement;
  try {
    if (theme.value === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme.value);
  } catch {
    // Kept for this visit only.
  }
  if (theme.value === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
});
