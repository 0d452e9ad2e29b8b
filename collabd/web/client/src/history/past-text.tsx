import { EditorState } from "@codemirror/state";
import { EditorView, highlightSpecialChars } from "@codemirror/view";
import { useEffect, useRef } from "preact/hooks";
import { markdownSupport } from "../editors/code/markdown";

/** Plain text or Markdown as it was, dressed as in its editor. */
export default function PastText({ text, markdown }: { text: string; markdown: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const view = new EditorView({
      parent: place.current!,
      state: EditorState.create({
        doc: text,
        extensions: [
          EditorState.lineSeparator.of("\n"),
          EditorState.readOnly.of(true),
          EditorView.editable.of(false),
          markdown ? markdownSupport() : [],
          highlightSpecialChars(),
          EditorView.lineWrapping,
          EditorView.perLineTextDirection.of(true),
          EditorView.contentAttributes.of({ "aria-label": "Text of this version", "aria-readonly": "true" }),
        ],
      }),
    });
    return () => view.destroy();
  }, [text, markdown]);
  return <div class={markdown ? "sheet code markdown" : "sheet code"} ref={place} />;
}
