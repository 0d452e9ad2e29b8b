import { InputRule, inputRules, textblockTypeInputRule, wrappingInputRule } from "prosemirror-inputrules";
import type { MarkType } from "prosemirror-model";
import type { Plugin } from "prosemirror-state";
import { schema } from "./schema";

const { nodes, marks } = schema;

/** Turns `**words**` into marked words as the closing sign is typed. Group 1 is what stands before. */
function markRule(pattern: RegExp, mark: MarkType): InputRule {
  return new InputRule(pattern, (state, match, start, end) => {
    const [all, before, words] = match as unknown as [string, string, string];
    const from = start + before.length;
    if (!state.doc.resolve(from).parent.type.allowsMarkType(mark)) return null;
    const signs = (all.length - before.length - words.length) / 2;
    const { tr } = state;
    tr.delete(from + signs + words.length, end).delete(from, from + signs);
    return tr.addMark(from, from + words.length, mark.create()).removeStoredMark(mark);
  });
}

/** What people who know Markdown type without thinking. */
export const markdownRules = (): Plugin =>
  inputRules({
    rules: [
      textblockTypeInputRule(/^(#{1,3})\s$/, nodes.heading, (match) => ({ level: match[1]!.length })),
      textblockTypeInputRule(/^```$/, nodes.code_block),
      wrappingInputRule(/^\s*>\s$/, nodes.blockquote),
      wrappingInputRule(/^\s*[-+*]\s$/, nodes.bullet_list),
      wrappingInputRule(
        /^(\d+)[.)]\s$/,
        nodes.ordered_list,
        (match) => ({ order: Number(match[1]) }),
        (match, node) => node.childCount + (node.attrs["order"] as number) === Number(match[1]),
      ),
      new InputRule(/^---$/, (state, _match, start, end) =>
        state.doc.resolve(start).depth === 1
          ? state.tr.replaceWith(start - 1, end, [nodes.horizontal_rule.create()])
          : null,
      ),
      markRule(/(^|\s|\()\*\*([^*\s](?:[^*]*[^*\s])?)\*\*$/, marks.strong),
      markRule(/(^|[^*\w])\*([^*\s](?:[^*]*[^*\s])?)\*$/, marks.em),
      markRule(/(^|\s|\()~~([^~\s](?:[^~]*[^~\s])?)~~$/, marks.strike),
      markRule(/(^|[^`])`([^`]+)`$/, marks.code),
    ],
  });
