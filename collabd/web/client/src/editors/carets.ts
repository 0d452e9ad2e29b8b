import type { Awareness } from "y-protocols/awareness";
import { flashLabel, type User } from "../document/presence";

/** Another person's caret, the same in both editors. */
export function caretElement(client: number, user: User): HTMLElement {
  const caret = document.createElement("span");
  caret.className = "remote-caret";
  caret.dataset["client"] = String(client);
  // Not part of the text for those who have it read to them: the badges say who is here.
  caret.setAttribute("aria-hidden", "true");
  const label = document.createElement("span");
  label.className = "remote-caret-name";
  // Word joiners keep a line from breaking between the caret and the word it stands at.
  caret.append("\u2060", label, "\u2060");
  dress(caret, user);
  return caret;
}

function dress(caret: HTMLElement, user: User): void {
  caret.dataset["name"] = user.name;
  caret.style.setProperty("--who", user.color);
  caret.querySelector(".remote-caret-name")!.textContent = user.name;
}

/** Keeps the names at the carets below `root` true, and shows each for a moment when its caret moves. */
export function tendCarets(root: HTMLElement, awareness: Awareness): () => void {
  const moved = new Set<number>();
  let frame = 0;
  const tend = () => {
    frame = 0;
    for (const client of moved) {
      const user = awareness.getStates().get(client)?.["user"] as User | undefined;
      for (const caret of root.querySelectorAll<HTMLElement>(`.remote-caret[data-client="${client}"]`)) {
        if (user) dress(caret, user);
        flashLabel(caret.querySelector(".remote-caret-name")!);
      }
    }
    moved.clear();
  };
  const onChange = ({ added, updated }: { added: number[]; updated: number[] }) => {
    for (const client of [...added, ...updated]) if (client !== awareness.clientID) moved.add(client);
    // The editors place the carets first.
    if (moved.size > 0) frame ||= requestAnimationFrame(tend);
  };
  awareness.on("change", onChange);
  return () => {
    awareness.off("change", onChange);
    cancelAnimationFrame(frame);
  };
}
