import { markdownKeymap, markdownLanguage, pasteURLAsLink } from "@codemirror/lang-markdown";
import { HighlightStyle, LanguageSupport, syntaxHighlighting } from "@codemirror/language";
import { EditorSelection, type Extension } from "@codemirror/state";
import { type Command, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const style = HighlightStyle.define([
  { tag: tags.heading, class: "md-heading" },
  { tag: tags.heading1, class: "md-heading md-heading-1" },
  { tag: tags.heading2, class: "md-heading md-heading-2" },
  { tag: tags.strong, class: "md-strong" },
  { tag: tags.emphasis, class: "md-emphasis" },
  { tag: tags.strikethrough, class: "md-strike" },
  { tag: tags.link, class: "md-link" },
  { tag: tags.url, class: "md-url" },
  { tag: tags.monospace, class: "md-code" },
  { tag: tags.quote, class: "md-quote" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName], class: "md-sign" },
]);

/** Puts signs around each selection, or takes them away when they are there. */
function surround(sign: string): Command {
  return (view) => {
    if (view.state.readOnly) return false;
    const { state } = view;
    const size = sign.length;
    view.dispatch(
      state.changeByRange(({ from, to }) => {
        const wrapped = state.sliceDoc(from - size, from) === sign && state.sliceDoc(to, to + size) === sign;
        return wrapped
          ? {
              changes: [
                { from: from - size, to: from },
                { from: to, to: to + size },
              ],
              range: EditorSelection.range(from - size, to - size),
            }
          : {
              changes: [
                { from, insert: sign },
                { from: to, insert: sign },
              ],
              range: EditorSelection.range(from + size, to + size),
            };
      }),
    );
    return true;
  };
}

/** Not `markdown()`: it would bring the parsers of HTML, CSS and JavaScript, twice the size of all the rest. */
export const markdownSupport = (): Extension => [
  new LanguageSupport(markdownLanguage),
  pasteURLAsLink,
  syntaxHighlighting(style),
  keymap.of([
    { key: "Mod-b", run: surround("**") },
    { key: "Mod-i", run: surround("*") },
    { key: "Mod-e", run: surround("`") },
    ...markdownKeymap,
  ]),
];
