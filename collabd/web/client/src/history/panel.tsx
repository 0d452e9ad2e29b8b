import { Bookmark, X } from "lucide";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { DocumentSession } from "../document/session";
import { Icon } from "../ui/icon";
import { peopleOf } from "./authors";
import { NameDialog, RestoreDialog } from "./dialogs";
import { VersionList } from "./list";
import { nameVersion, restoreVersion, unnameVersion } from "./server";
import { phraseOf, type Entry } from "./timeline";
import { useTimeline } from "./use-timeline";
import { Viewer } from "./viewer";
import "../styles/history.css";

export interface HistoryProps {
  session: DocumentSession;
  /** A phone: the list takes the whole window, and steps aside for the version chosen from it. */
  narrow: boolean;
  /** A version stands in the place of the text, or no longer does. */
  onViewing: (viewing: boolean) => void;
  /** What was done, in words, and how to undo it; null if the document was like that already. */
  onRestored: (words: string, undo: (() => Promise<unknown>) | null) => void;
  onClose: () => void;
}

type Asking = { what: "name"; entry: Entry | null } | { what: "restore"; entry: Entry };

const AWAY = {
  empty: "The history is kept on the server, which cannot be reached now. It shows when you are back online.",
  known: "The server cannot be reached. Other versions can be looked at again when you are back online.",
};

/** A document's past: the list of its versions, and the one chosen from it. */
export default function HistoryPanel({ session, narrow, onViewing, onRestored, onClose }: HistoryProps) {
  const timeline = useTimeline(session);
  const [chosen, setChosen] = useState<Entry | null>(null);
  const [asking, setAsking] = useState<Asking | null>(null);
  const panel = useRef<HTMLElement>(null);
  const { known, state } = timeline;
  const peers = session.peers.value;
  const save = session.save.value.is;
  const away = save === "offline" || save === "reconnecting" || save === "refused";
  const mayWrite = !away && session.readOnly.value === null;

  useEffect(() => panel.current!.focus({ preventScroll: true }), []);
  useEffect(() => () => onViewing(false), []);

  const choose = (entry: Entry | null) => {
    setChosen(entry);
    onViewing(entry !== null);
  };
  // Back in the list, one is where one was.
  const left = useRef<Entry | null>(null);
  useLayoutEffect(() => {
    if (chosen !== null || left.current === null) return;
    const rows = [...panel.current!.querySelectorAll<HTMLElement>(".version")];
    const row = rows.find((one) => one.dataset["seq"] === String(left.current!.seq)) ?? rows[0];
    row?.focus();
    left.current = null;
  }, [chosen]);
  const back = () => {
    left.current = chosen;
    choose(null);
  };

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      // A dialog, a menu and the editor have their own Escape.
      const elsewhere = event.target instanceof Element && event.target.closest("dialog, .menu-root, .live");
      if (event.key !== "Escape" || event.defaultPrevented || elsewhere) return;
      event.preventDefault();
      onClose();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [onClose]);

  const rename = async (entry: Entry | null, name: string | null) => {
    if (name === null) {
      await unnameVersion(session.place, entry!.seq);
      timeline.rename(entry!.seq, null);
    } else {
      const named = await nameVersion(session.place, name, entry?.seq);
      timeline.rename(named.seq, named.name);
    }
    setChosen((now) => (now && now.seq === entry?.seq ? { ...now, name } : now));
    timeline.read();
  };

  const restore = async (entry: Entry) => {
    const { seq, adopted } = await session.adopt(() => restoreVersion(session.place, entry.seq));
    if (seq === null) return onRestored(`The document is like the ${phraseOf(entry)} already`, null);
    const undo = async () => (adopted ? adopted.undo() : restoreVersion(session.place, seq - 1));
    onRestored(`Restored the ${phraseOf(entry)}`, undo);
  };

  return (
    <>
      {chosen && (
        <Viewer
          key={`${chosen.first} ${chosen.seq}`}
          place={session.place}
          entry={chosen}
          people={peopleOf(chosen.change.authors, peers)}
          head={known?.head ?? chosen.seq}
          mayWrite={mayWrite}
          backTo={narrow ? "Back to the list" : "Back to the text as it is now"}
          onBack={back}
          onName={() => setAsking({ what: "name", entry: chosen })}
          onRestore={() => setAsking({ what: "restore", entry: chosen })}
        />
      )}
      <section
        ref={panel}
        id="history"
        class="history"
        aria-label="History"
        tabIndex={-1}
        hidden={narrow && chosen !== null}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" || event.target !== panel.current) return;
          event.preventDefault();
          panel.current?.querySelector<HTMLElement>(".version")?.focus();
        }}
      >
        <header class="history-bar">
          <h2>History</h2>
          <button
            type="button"
            class="icon-button panel-close"
            aria-label="Close the history"
            title="Close"
            onClick={onClose}
          >
            <Icon of={X} size={20} />
          </button>
        </header>
        <div class="history-body">
          {away ? (
            <p class="notice" role="status">
              {known === null ? AWAY.empty : AWAY.known}
            </p>
          ) : (
            state === "failed" && (
              <div class="notice" role="alert">
                <p>{timeline.problem}</p>
                <button type="button" class="button" onClick={timeline.read}>
                  Try again
                </button>
              </div>
            )
          )}
          {known === null && state === "loading" && !away && <p class="history-words">Looking it up…</p>}
          {known?.changes.length === 0 && (
            <p class="history-words">
              Nothing was written here yet. Whatever is will be listed, and can be looked at and brought back.
            </p>
          )}
          {known !== null && known.changes.length > 0 && (
            <>
              {mayWrite && (
                <button
                  type="button"
                  class="button name-now"
                  onClick={() => setAsking({ what: "name", entry: null })}
                >
                  <Icon of={Bookmark} size={17} />
                  Name the current version…
                </button>
              )}
              <VersionList known={known} peers={peers} chosen={chosen} onChoose={choose} />
              {known.next !== null && <Older busy={state === "loading"} show={timeline.showOlder} />}
            </>
          )}
        </div>
      </section>
      {asking?.what === "name" && (
        <NameDialog
          what={asking.entry === null ? "The document as it is now" : `The ${phraseOf(asking.entry)}`}
          now={asking.entry?.name ?? null}
          apply={(name) => rename(asking.entry, name)}
          onClose={() => setAsking(null)}
        />
      )}
      {asking?.what === "restore" && (
        <RestoreDialog
          phrase={phraseOf(asking.entry)}
          apply={() => restore(asking.entry)}
          onClose={() => setAsking(null)}
        />
      )}
    </>
  );
}

/** Shows older changes when it is pressed, or scrolled to. */
function Older({ busy, show }: { busy: boolean; show: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (busy) return;
    const observer = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && show());
    observer.observe(button.current!);
    return () => observer.disconnect();
  });
  return (
    <button ref={button} type="button" class="button older" disabled={busy} onClick={show}>
      {busy ? "Looking up older ones…" : "Show older"}
    </button>
  );
}
