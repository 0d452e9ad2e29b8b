import { useState } from "preact/hooks";
import { Dialog, DialogEnd, DialogProblem } from "../ui/dialog";

const LONGEST_NAME = 200;

interface NameProps {
  /** What is to be named, in words. */
  what: string;
  now: string | null;
  /** Carries it out; null takes the name away. */
  apply: (name: string | null) => Promise<void>;
  onClose: () => void;
}

/** Names a version, or gives it another name, or none. */
export function NameDialog({ what, now, apply, onClose }: NameProps) {
  const [name, setName] = useState(now ?? "");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const carryOut = async (wanted: string | null) => {
    setBusy(true);
    try {
      await apply(wanted);
      onClose();
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={now === null ? "Name this version" : "Rename this version"} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const wanted = name.trim();
          if (wanted === "") return setProblem("A name has at least one letter.");
          void carryOut(wanted);
        }}
      >
        <label class="field">
          <span>{what}</span>
          <input
            data-autofocus
            type="text"
            aria-label="Name"
            placeholder="First draft"
            value={name}
            maxLength={LONGEST_NAME}
            autocomplete="off"
            aria-describedby="version-hint"
            onFocus={(event) => event.currentTarget.select()}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <p id="version-hint" class="hint" data-wrong={problem !== ""} aria-live="polite">
          {problem || "Everyone sees the name in the history."}
        </p>
        <DialogEnd does="Save" disabled={busy} onClose={onClose}>
          {now !== null && (
            <button type="button" class="button start" disabled={busy} onClick={() => void carryOut(null)}>
              Remove the name
            </button>
          )}
        </DialogEnd>
      </form>
    </Dialog>
  );
}

interface RestoreProps {
  /** What is to be restored. */
  phrase: string;
  apply: () => Promise<void>;
  onClose: () => void;
}

export function RestoreDialog({ phrase, apply, onClose }: RestoreProps) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    try {
      await apply();
      onClose();
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Restore this version?" onClose={onClose}>
      <p>
        The document goes back to the {phrase}. Everyone gets that as an edit. Nothing is lost: you can undo it
        like anything you write, or restore a newer version from the list.
      </p>
      <DialogProblem>{problem}</DialogProblem>
      <DialogEnd does="Restore" first disabled={busy} onDo={() => void confirm()} onClose={onClose} />
    </Dialog>
  );
}
