import { useEffect, useState } from "preact/hooks";
import type { SaveState } from "../document/save-state";
import type { DocumentSession } from "../document/session";

const count = (changes: number): string => (changes === 1 ? "1 change" : `${changes.toLocaleString()} changes`);

function words(state: SaveState, kept: boolean): { label: string; detail: string } {
  const where = kept ? "kept in this browser" : "not kept anywhere yet: leave this page open";
  switch (state.is) {
    case "opening":
      return { label: "Connecting…", detail: "" };
    case "saved":
      return { label: "Saved", detail: "Everything you wrote is on the server’s disk." };
    case "saving":
      return { label: "Saving…", detail: `${count(state.changes)} on the way to the server’s disk` };
    case "reconnecting":
      return {
        label: state.changes > 0 ? `Reconnecting… ${count(state.changes)} ${where}` : "Reconnecting…",
        detail: "",
      };
    case "offline":
      return {
        label: state.changes > 0 ? `Offline – ${count(state.changes)} ${where}` : "Offline",
        detail: "You can go on writing. It will be merged when the server is back.",
      };
    case "refused":
      return {
        label: state.changes > 0 ? `Not connected – ${count(state.changes)} ${where}` : "Not connected",
        detail: "",
      };
  }
}

/** How long "Saved" waits for more typing, so that the words do not flicker at every key. */
const SETTLE_MS = 350;

function useSettled(state: SaveState): SaveState {
  const [shown, setShown] = useState(state);
  useEffect(() => {
    if (state.is !== "saved" || shown.is !== "saving") {
      setShown(state);
      return;
    }
    const timer = setTimeout(() => setShown(state), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return shown;
}

export function SaveStatus({ session }: { session: DocumentSession }) {
  const state = useSettled(session.save.value);
  const { label, detail } = words(state, session.kept.value);
  const hint = [detail, session.trouble.value].filter(Boolean).join("\n");
  // Heard when the connection changes, not at every save.
  const spoken = state.is === "saving" || state.is === "saved" ? "Connected" : label.split(/ – |… /)[0]!;
  return (
    <>
      <span class="save-status" data-state={state.is} title={hint}>
        <span class="dot" aria-hidden="true" />
        {label}
      </span>
      <span class="visually-hidden" role="status">
        {spoken}
      </span>
    </>
  );
}
