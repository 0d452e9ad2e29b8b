import type { Signal } from "@preact/signals";
import {
  Bold,
  Code,
  Italic,
  Link,
  List,
  ListOrdered,
  Quote,
  Redo2,
  SquareCode,
  Strikethrough,
  Undo2,
  type IconNode,
} from "lucide";
import { Fragment } from "preact";
import { useRef } from "preact/hooks";
import type { Command, EditorState } from "prosemirror-state";
import { Icon } from "../../ui/icon";
import { ariaShortcut, shortcut } from "../../ui/keys";
import { blockAt, commands, isInList, isInside, isMarked, setBlock, SHORTCUTS, type BlockChoice } from "./commands";
import { schema } from "./schema";

const { nodes, marks } = schema;

interface Tool {
  id: keyof typeof SHORTCUTS;
  label: string;
  icon: IconNode;
  /** Whether it is switched on where the selection is; left out where it is not a switch. */
  on?: (state: EditorState) => boolean;
}

const GROUPS: Tool[][] = [
  [
    { id: "undo", label: "Undo", icon: Undo2 },
    { id: "redo", label: "Redo", icon: Redo2 },
  ],
  [
    { id: "bold", label: "Bold", icon: Bold, on: (state) => isMarked(state, marks.strong) },
    { id: "italic", label: "Italic", icon: Italic, on: (state) => isMarked(state, marks.em) },
    { id: "strike", label: "Strikethrough", icon: Strikethrough, on: (state) => isMarked(state, marks.strike) },
    { id: "code", label: "Code", icon: Code, on: (state) => isMarked(state, marks.code) },
    { id: "link", label: "Link", icon: Link, on: (state) => isMarked(state, marks.link) },
  ],
  [
    { id: "bulletList", label: "Bulleted list", icon: List, on: (state) => isInList(state, nodes.bullet_list) },
    {
      id: "orderedList",
      label: "Numbered list",
      icon: ListOrdered,
      on: (state) => isInList(state, nodes.ordered_list),
    },
    { id: "quote", label: "Quote", icon: Quote, on: (state) => isInside(state, nodes.blockquote) },
    { id: "codeBlock", label: "Code block", icon: SquareCode, on: (state) => blockAt(state) === "code" },
  ],
];

const BLOCKS: { value: BlockChoice; label: string }[] = [
  { value: "paragraph", label: "Text" },
  { value: "heading1", label: "Heading 1" },
  { value: "heading2", label: "Heading 2" },
  { value: "heading3", label: "Heading 3" },
  { value: "code", label: "Code block" },
];

interface Props {
  state: Signal<EditorState>;
  disabled: boolean;
  run: (command: Command) => void;
  editLink: () => void;
}

export function Toolbar({ state, disabled, run, editLink }: Props) {
  const bar = useRef<HTMLDivElement>(null);
  const now = state.value;
  const block = blockAt(now);

  /** One Tab stop for the whole bar; arrows move inside it. */
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move === undefined || event.target instanceof HTMLSelectElement) return;
    const all = [...bar.current!.querySelectorAll<HTMLElement>("button")];
    const next = all[(all.indexOf(document.activeElement as HTMLElement) + move + all.length) % all.length];
    event.preventDefault();
    next?.focus();
  };

  return (
    <div class="toolbar" role="toolbar" aria-label="Formatting" aria-controls="text" ref={bar} onKeyDown={onKeyDown}>
      <div class="toolbar-row">
        {GROUPS.map((group, index) => (
          <Fragment key={index}>
            {index === 1 && (
              <select
                class="block-choice"
                aria-label="Kind of paragraph"
                title="Kind of paragraph"
                disabled={disabled}
                value={block}
                onChange={(event) => {
                  const choice = event.currentTarget.value as BlockChoice;
                  if (choice !== "other") run(setBlock[choice]);
                }}
              >
                {BLOCKS.map(({ value, label }) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
                {block === "other" && (
                  <option value="other" disabled>
                    Other
                  </option>
                )}
              </select>
            )}
            <div class="tool-group">
              {group.map((tool) => {
                const command = tool.id === "link" ? null : commands[tool.id];
                const pressed = tool.on?.(now);
                const usable = !disabled && (command ? command(now) : pressed || !now.selection.empty);
                return (
                  <button
                    key={tool.id}
                    type="button"
                    class="icon-button"
                    data-tool={tool.id}
                    aria-label={tool.label}
                    title={`${tool.label} (${shortcut(SHORTCUTS[tool.id])})`}
                    aria-keyshortcuts={ariaShortcut(SHORTCUTS[tool.id])}
                    aria-disabled={!usable}
                    {...(tool.on ? { "aria-pressed": pressed } : {})}
                    tabIndex={index === 0 && tool.id === "undo" ? 0 : -1}
                    // The selection must not leave the text when a button is pressed.
                    onMouseDown={(event) => event.preventDefault()}
                    onClick={() => {
                      if (!usable) return;
                      if (command) run(command);
                      else editLink();
                    }}
                  >
                    <Icon of={tool.icon} />
                  </button>
                );
              })}
            </div>
          </Fragment>
        ))}
      </div>
    </div>
  );
}
