import {
  chainCommands,
  createParagraphNear,
  exitCode,
  lift,
  liftEmptyBlock,
  newlineInCode,
  setBlockType,
  splitBlock,
  toggleMark,
  wrapIn,
} from "prosemirror-commands";
import type { MarkType, NodeType } from "prosemirror-model";
import { liftListItem, sinkListItem, splitListItem, wrapInList } from "prosemirror-schema-list";
import type { Command, EditorState } from "prosemirror-state";
import { redoCommand, undoCommand } from "y-prosemirror";
import { schema } from "./schema";

const { nodes, marks } = schema;

/** The kinds of block a person chooses between. */
export type BlockChoice = "paragraph" | "heading1" | "heading2" | "heading3" | "code" | "other";

export function blockAt(state: EditorState): BlockChoice {
  const { parent } = state.selection.$from;
  if (parent.type === nodes.paragraph) return "paragraph";
  if (parent.type === nodes.code_block) return "code";
  if (parent.type === nodes.heading && parent.attrs["level"] <= 3)
    return `heading${parent.attrs["level"]}` as BlockChoice;
  return "other";
}

export const setBlock: Record<Exclude<BlockChoice, "other">, Command> = {
  paragraph: setBlockType(nodes.paragraph),
  heading1: setBlockType(nodes.heading, { level: 1 }),
  heading2: setBlockType(nodes.heading, { level: 2 }),
  heading3: setBlockType(nodes.heading, { level: 3 }),
  code: setBlockType(nodes.code_block),
};

export function isMarked(state: EditorState, mark: MarkType): boolean {
  const { from, to, empty, $from } = state.selection;
  if (empty) return mark.isInSet(state.storedMarks ?? $from.marks()) !== undefined;
  return state.doc.rangeHasMark(from, to, mark);
}

export function isInside(state: EditorState, type: NodeType): boolean {
  const { $from } = state.selection;
  for (let depth = $from.depth; depth > 0; depth--) if ($from.node(depth).type === type) return true;
  return false;
}

/** The innermost list around the selection. */
function listAround(state: EditorState): { type: NodeType; pos: number } | null {
  const { $from } = state.selection;
  for (let depth = $from.depth; depth > 0; depth--) {
    const { type } = $from.node(depth);
    if (type === nodes.bullet_list || type === nodes.ordered_list) return { type, pos: $from.before(depth) };
  }
  return null;
}

export const isInList = (state: EditorState, type: NodeType): boolean => listAround(state)?.type === type;

/** Makes a list, turns it into the other kind, or ends it. */
function toggleList(type: NodeType): Command {
  return (state, dispatch) => {
    const around = listAround(state);
    if (around === null) return wrapInList(type)(state, dispatch);
    if (around.type === type) return liftListItem(nodes.list_item)(state, dispatch);
    dispatch?.(state.tr.setNodeMarkup(around.pos, type));
    return true;
  };
}

const toggleQuote: Command = (state, dispatch) =>
  isInside(state, nodes.blockquote) ? lift(state, dispatch) : wrapIn(nodes.blockquote)(state, dispatch);

const toggleCodeBlock: Command = (state, dispatch) =>
  (blockAt(state) === "code" ? setBlock.paragraph : setBlock.code)(state, dispatch);

const insertBreak: Command = chainCommands(exitCode, (state, dispatch) => {
  dispatch?.(state.tr.replaceSelectionWith(nodes.hard_break.create()).scrollIntoView());
  return true;
});

const insertRule: Command = (state, dispatch) => {
  dispatch?.(state.tr.replaceSelectionWith(nodes.horizontal_rule.create()).scrollIntoView());
  return true;
};

export const commands = {
  undo: undoCommand,
  redo: redoCommand,
  bold: toggleMark(marks.strong),
  italic: toggleMark(marks.em),
  strike: toggleMark(marks.strike),
  code: toggleMark(marks.code),
  bulletList: toggleList(nodes.bullet_list),
  orderedList: toggleList(nodes.ordered_list),
  quote: toggleQuote,
  codeBlock: toggleCodeBlock,
  rule: insertRule,
} satisfies Record<string, Command>;

/** The shortcuts the toolbar shows; the rest of the keymap is for hands, not for reading. */
export const SHORTCUTS = {
  undo: "Mod-z",
  redo: "Mod-Shift-z",
  bold: "Mod-b",
  italic: "Mod-i",
  strike: "Mod-Shift-x",
  code: "Mod-e",
  link: "Mod-k",
  bulletList: "Mod-Shift-8",
  orderedList: "Mod-Shift-7",
  quote: "Mod-Shift-9",
  codeBlock: "Mod-Alt-c",
} as const;

const enter = chainCommands(
  newlineInCode,
  splitListItem(nodes.list_item),
  createParagraphNear,
  liftEmptyBlock,
  splitBlock,
);

export function keyBindings(editLink: () => void): Record<string, Command> {
  return {
    [SHORTCUTS.undo]: commands.undo,
    [SHORTCUTS.redo]: commands.redo,
    "Mod-y": commands.redo,
    [SHORTCUTS.bold]: commands.bold,
    [SHORTCUTS.italic]: commands.italic,
    [SHORTCUTS.strike]: commands.strike,
    [SHORTCUTS.code]: commands.code,
    [SHORTCUTS.bulletList]: commands.bulletList,
    [SHORTCUTS.orderedList]: commands.orderedList,
    [SHORTCUTS.quote]: commands.quote,
    [SHORTCUTS.codeBlock]: commands.codeBlock,
    [SHORTCUTS.link]: () => {
      editLink();
      return true;
    },
    "Mod-Alt-0": setBlock.paragraph,
    "Mod-Alt-1": setBlock.heading1,
    "Mod-Alt-2": setBlock.heading2,
    "Mod-Alt-3": setBlock.heading3,
    Enter: enter,
    "Shift-Enter": insertBreak,
    "Mod-Enter": insertBreak,
    Tab: sinkListItem(nodes.list_item),
    "Shift-Tab": liftListItem(nodes.list_item),
  };
}
