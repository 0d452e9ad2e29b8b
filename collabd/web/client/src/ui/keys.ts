const MAC = /Mac|iPhone|iPad/.test(navigator.platform);

/** A shortcut in editor notation ("Mod-Shift-8") as people read it on this machine. */
export function shortcut(keys: string): string {
  const parts = keys.split("-");
  const named: Record<string, string> = MAC
    ? { Mod: "⌘", Shift: "⇧", Alt: "⌥" }
    : { Mod: "Ctrl", Shift: "Shift", Alt: "Alt" };
  const words = parts.map((part) => named[part] ?? part.toUpperCase());
  return MAC ? words.join("") : words.join("+");
}

/** The same shortcut as `aria-keyshortcuts` wants it. */
export function ariaShortcut(keys: string): string {
  return keys.replace("Mod", MAC ? "Meta" : "Control").replaceAll("-", "+");
}
