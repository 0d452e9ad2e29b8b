import type { EditorState, Transaction } from "prosemirror-state";
import { useState } from "preact/hooks";
import { Dialog, DialogEnd } from "../../ui/dialog";
import { isSafeLink, schema } from "./schema";

const { link } = schema.marks;

/** The stretch of text a link command is about: the selection, or the link the caret stands in. */
export function linkRange(state: EditorState): { from: number; to: number; href: string } | null {
  const { from, to, empty, $from } = state.selection;
  if (!empty) {
    let href = "";
    state.doc.nodesBetween(from, to, (node) => {
      href ||= (link.isInSet(node.marks)?.attrs["href"] as string | undefined) ?? "";
    });
    return { from, to, href };
  }
  const { parent } = $from;
  const mark = link.isInSet($from.marks()) ?? link.isInSet($from.nodeAfter?.marks ?? []);
  if (!mark) return null;
  let start = $from.parentOffset;
  let end = start;
  parent.forEach((child, offset) => {
    const touches = offset <= $from.parentOffset && offset + child.nodeSize >= $from.parentOffset;
    if (!touches || !mark.isInSet(child.marks)) return;
    start = Math.min(start, offset);
    end = Math.max(end, offset + child.nodeSize);
  });
  return { from: $from.start() + start, to: $from.start() + end, href: mark.attrs["href"] as string };
}

/** What was typed as an address: "example.org" means the site, not a file beside this page. */
export function tidyLink(typed: string): string {
  const href = typed.trim();
  if (/^[\w.+-]+@[\w-]+\.[\w.-]+$/.test(href)) return `mailto:${href}`;
  return /^[\w-]+(\.[\w-]+)+([/:?#]|$)/.test(href) ? `https://${href}` : href;
}

interface Props {
  /** Where the link leads now; empty where there is none yet. */
  now: string;
  apply: (change: (state: EditorState) => Transaction) => void;
  onClose: () => void;
}

/** Sets the link at the selection as it is when the dialog closes: others may have been writing meanwhile. */
function setLink(href: string): (state: EditorState) => Transaction {
  return (state) => {
    const range = linkRange(state);
    if (range === null) return state.tr;
    const cleared = state.tr.removeMark(range.from, range.to, link);
    return href === "" ? cleared : cleared.addMark(range.from, range.to, link.create({ href }));
  };
}

export function LinkDialog({ now, apply, onClose }: Props) {
  const [typed, setTyped] = useState(now);
  const href = tidyLink(typed);
  const usable = href !== "" && isSafeLink(href);
  return (
    <Dialog title="Link" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!usable) return;
          onClose();
          apply(setLink(href));
        }}
      >
        <label class="field">
          <span>Address</span>
          <input
            data-autofocus
            type="text"
            inputMode="url"
            autocomplete="off"
            spellcheck={false}
            placeholder="https://"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <DialogEnd does="Apply" disabled={!usable} onClose={onClose}>
          {now !== "" && (
            <button
              type="button"
              class="button danger start"
              onClick={() => {
                onClose();
                apply(setLink(""));
              }}
            >
              Remove link
            </button>
          )}
        </DialogEnd>
      </form>
    </Dialog>
  );
}
