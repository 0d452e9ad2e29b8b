import { useEffect, useState } from "preact/hooks";
import { findDocument } from "../document/server";
import { KIND_NAMES, KINDS, type Kind } from "../document/shape";
import { suggestName, tidyName, whyNotAName } from "../names";
import { openDocument } from "../router";
import { Dialog, DialogEnd } from "../ui/dialog";

const KIND_HINTS: Record<Kind, string> = {
  rich: "Headings, lists and links, formatted as you write",
  markdown: "Plain signs with a preview beside them",
  text: "Just characters: notes, code, data",
};

interface Props {
  /** Names already in use, as far as this page has seen. */
  taken: (name: string) => boolean;
  onClose: () => void;
}

const LOOKUP_DELAY_MS = 200;

/** Whether the server has a document of this name; null while that is not known (or it cannot be asked). */
function useExists(name: string, valid: boolean): boolean | null {
  const [answer, setAnswer] = useState<{ name: string; exists: boolean } | null>(null);
  useEffect(() => {
    if (!valid) return;
    const timer = setTimeout(() => {
      findDocument(name).then(
        (found) => setAnswer({ name, exists: found !== null }),
        () => setAnswer(null),
      );
    }, LOOKUP_DELAY_MS);
    return () => clearTimeout(timer);
  }, [name, valid]);
  return answer?.name === name ? answer.exists : null;
}

export function NewDocumentDialog({ taken, onClose }: Props) {
  const [typed, setTyped] = useState(() => suggestName(new Date(), taken));
  const [kind, setKind] = useState<Kind>("rich");
  const [tried, setTried] = useState(false);
  const name = tidyName(typed);
  const wrong = whyNotAName(name);
  const exists = useExists(name, wrong === null) ?? taken(name);
  const hint = wrong === null ? (exists ? "There is already a document with this name." : "") : tried ? wrong : "";

  const submit = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (wrong !== null) return;
    // Asked again: the answer on the screen may be older than the name. Unreachable: made here, merged later.
    const found = exists || (await findDocument(name).catch(() => null)) !== null;
    onClose();
    openDocument(name, found ? {} : { kind });
  };

  return (
    <Dialog title="New document" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>Name</span>
          <input
            data-autofocus
            type="text"
            value={typed}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            aria-describedby="name-hint"
            aria-invalid={hint !== "" && wrong !== null}
            onFocus={(event) => event.currentTarget.select()}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <p id="name-hint" class="hint" data-wrong={wrong !== null} aria-live="polite">
          {hint || "Slashes make folders: notes/2026/ideas"}
        </p>
        <fieldset class="kinds" disabled={exists}>
          <legend>Kind</legend>
          {KINDS.map((one) => (
            <label key={one} class="kind">
              <input type="radio" name="kind" value={one} checked={kind === one} onChange={() => setKind(one)} />
              <span class="kind-words">
                <strong>{KIND_NAMES[one]}</strong>
                <small>{KIND_HINTS[one]}</small>
              </span>
            </label>
          ))}
        </fieldset>
        <DialogEnd does={exists ? "Open it" : "Create"} onClose={onClose} />
      </form>
    </Dialog>
  );
}
