import { defaultKeymap } from "@codemirror/commands";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { drawSelection, dropCursor, EditorView, highlightSpecialChars, keymap, placeholder } from "@codemirror/view";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";
import { tendCarets } from "../carets";
import type { EditorProps } from "../editor";
import { markdownSupport } from "./markdown";
import { remoteCarets } from "./remote-carets";

const access = (locked: boolean): Extension => [EditorState.readOnly.of(locked), EditorView.editable.of(!locked)];

/** The editor of plain text and Markdown. */
export default function CodeEditor({ session, locked, markdown }: EditorProps & { markdown: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const accessSlot = useMemo(() => new Compartment(), []);

  useEffect(() => {
    const parent = place.current!;
    const text = session.doc.getText("content");
    const undoManager = new Y.UndoManager(text);
    session.undoManager = undoManager;
    const editor = new EditorView({
      parent,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          // Y.Text counts every character. CodeMirror must not take CR LF for one, or the offsets part.
          EditorState.lineSeparator.of("\n"),
          EditorView.clipboardInputFilter.of((pasted) => pasted.replace(/\r\n?/g, "\n")),
          keymap.of([...yUndoManagerKeymap]),
          markdown ? markdownSupport() : [],
          keymap.of([...defaultKeymap, ...searchKeymap]),
          yCollab(text, null, { undoManager }),
          remoteCarets(text, session.awareness),
          accessSlot.of(access(locked)),
          drawSelection(),
          dropCursor(),
          highlightSpecialChars(),
          highlightSelectionMatches(),
          search({ top: true }),
          EditorView.lineWrapping,
          EditorView.perLineTextDirection.of(true),
          placeholder("Start writing…"),
          EditorView.contentAttributes.of({
            id: "text",
            "aria-label": "Document text",
            spellcheck: "true",
            autocorrect: "on",
            autocapitalize: "sentences",
          }),
        ],
      }),
    });
    view.current = editor;
    const stopTending = tendCarets(parent, session.awareness);
    if (!locked && matchMedia("(hover: hover)").matches) editor.focus();
    return () => {
      stopTending();
      editor.destroy();
      undoManager.destroy();
      if (session.undoManager === undoManager) session.undoManager = null;
      view.current = null;
    };
  }, [session, markdown]);

  useEffect(() => view.current?.dispatch({ effects: accessSlot.reconfigure(access(locked)) }), [locked]);

  return <div class={markdown ? "sheet code markdown" : "sheet code"} ref={place} />;
}
