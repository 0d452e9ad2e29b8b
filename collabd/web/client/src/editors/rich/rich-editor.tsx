import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { baseKeymap } from "prosemirror-commands";
import { dropCursor } from "prosemirror-dropcursor";
import { gapCursor } from "prosemirror-gapcursor";
import { keymap } from "prosemirror-keymap";
import { EditorState, Plugin } from "prosemirror-state";
import { Decoration, DecorationSet, EditorView } from "prosemirror-view";
import { yCursorPlugin, ySyncPlugin, yUndoPlugin, yUndoPluginKey } from "y-prosemirror";
import type * as Y from "yjs";
import type { User } from "../../document/presence";
import type { EditorProps } from "../editor";
import { caretElement, tendCarets } from "../carets";
import { keyBindings } from "./commands";
import { firstForeign, firstForeignIn } from "./foreign";
import { markdownRules } from "./input-rules";
import { LinkDialog, linkRange, tidyLink } from "./link-dialog";
import { isSafeLink, schema } from "./schema";
import { Toolbar } from "./toolbar";

const placeholder = (text: string) =>
  new Plugin({
    props: {
      decorations: ({ doc }) => {
        const only = doc.firstChild;
        if (doc.childCount !== 1 || !only?.isTextblock || only.content.size > 0) return null;
        return DecorationSet.create(doc, [
          Decoration.node(0, only.nodeSize, { class: "placeholder", "data-placeholder": text }),
        ]);
      },
    },
  });

/** An address pasted over words becomes their link. */
function pasteLink(view: EditorView, event: ClipboardEvent): boolean {
  const pasted = event.clipboardData?.getData("text/plain").trim() ?? "";
  const { from, to, empty } = view.state.selection;
  if (empty || !/^https?:\/\/\S+$/.test(pasted) || !isSafeLink(pasted)) return false;
  view.dispatch(view.state.tr.addMark(from, to, schema.marks.link.create({ href: tidyLink(pasted) })));
  return true;
}

/** Links are followed with the usual modifier; a plain click places the caret. */
function followLink(view: EditorView, pos: number, event: MouseEvent): boolean {
  if (!event.metaKey && !event.ctrlKey && view.editable) return false;
  const href = schema.marks.link.isInSet(view.state.doc.resolve(pos).marks())?.attrs["href"] as unknown;
  if (!isSafeLink(href)) return false;
  open(href, "_blank", "noopener,noreferrer");
  return true;
}

export default function RichEditor({ session, locked, onForeign }: EditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const [link, setLink] = useState<string | null>(null);
  const editable = useRef(!locked);
  const fragment = useMemo(() => session.doc.getXmlFragment("prosemirror"), [session]);
  const state = useMemo(() => signal(EditorState.create({ schema })), [session]);

  const editLink = () => {
    const range = view.current && linkRange(view.current.state);
    if (range) setLink(range.href);
  };

  useEffect(() => {
    const parent = place.current!;
    const found = firstForeign(fragment);
    if (found !== null) {
      onForeign(found);
      return;
    }
    const editor = new EditorView(parent, {
      state: EditorState.create({
        schema,
        plugins: [
          ySyncPlugin(fragment),
          yCursorPlugin(session.awareness, {
            cursorBuilder: (user: User, client: number) => caretElement(client, user),
            selectionBuilder: (user: User) => ({ class: "remote-selection", style: `--who: ${user.color}` }),
          }),
          yUndoPlugin(),
          markdownRules(),
          keymap(keyBindings(editLink)),
          keymap(baseKeymap),
          dropCursor({ class: "drop-cursor" }),
          gapCursor(),
          placeholder("Start writing…"),
        ],
      }),
      editable: () => editable.current,
      attributes: {
        id: "text",
        class: "prose",
        role: "textbox",
        "aria-multiline": "true",
        "aria-label": "Document text",
      },
      handlePaste: pasteLink,
      handleClick: followLink,
      // The binding dispatches from within the constructor: there is no `editor` yet.
      dispatchTransaction(this: EditorView, transaction) {
        // …and it puts off telling of other people's carets, until there may be none any more.
        if (this.isDestroyed) return;
        this.updateState(this.state.apply(transaction));
        state.value = this.state;
      },
    });
    view.current = editor;
    const { undoManager } = yUndoPluginKey.getState(editor.state)!;
    session.undoManager = undoManager;
    state.value = editor.state;
    const stopTending = tendCarets(parent, session.awareness);
    const leave = () => {
      session.doc.off("beforeObserverCalls", guard);
      stopTending();
      editor.destroy();
      if (session.undoManager === undoManager) session.undoManager = null;
      view.current = null;
    };
    // Runs before the binding hears of the transaction.
    const guard = (transaction: Y.Transaction) => {
      const brought = firstForeignIn(transaction, fragment);
      if (brought === null) return;
      leave();
      onForeign(brought);
    };
    session.doc.on("beforeObserverCalls", guard);
    if (!locked && matchMedia("(hover: hover)").matches) editor.focus();
    return () => {
      if (view.current === editor) leave();
    };
  }, [session]);

  useEffect(() => {
    editable.current = !locked;
    view.current?.setProps({});
  }, [locked]);

  return (
    <>
      <Toolbar
        state={state}
        disabled={locked}
        run={(command) => {
          const editor = view.current;
          if (!editor) return;
          command(editor.state, editor.dispatch.bind(editor), editor);
          editor.focus();
        }}
        editLink={editLink}
      />
      <div class="sheet rich" ref={place} />
      {link !== null && (
        <LinkDialog
          now={link}
          apply={(change) => {
            const editor = view.current;
            if (!editor) return;
            editor.dispatch(change(editor.state));
            editor.focus();
          }}
          onClose={() => setLink(null)}
        />
      )}
    </>
  );
}
