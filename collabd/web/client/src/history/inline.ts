import type { Hunk, Line } from "./server";

/** A stretch of text that stayed, went or came. */
export interface Piece {
  kind: Line["kind"];
  text: string;
}

/** A line as it is shown. `kind` is what all of it is, or "mixed". */
export interface Row {
  kind: Line["kind"] | "mixed";
  pieces: Piece[];
}

/** Unchanged lines that the comparison left out; null: how many, it doesn't say. */
export interface Gap {
  kind: "gap";
  lines: number | null;
}

/** So many unchanged lines stand behind what changed, if there are more. */
const CONTEXT = 3;

/** Shown where a line end itself came or went. */
const LINE_END = "¶";

/** Where next to nothing stayed, or little and in shreds, old and new are easier to read one below the other. */
const NEXT_TO_NOTHING = 0.15;
const LITTLE = 0.45;
const SHREDS = 4;

/** A comparison as one text, in which the changed words stand beside each other. */
export function rowsOf(hunks: Hunk[]): (Row | Gap)[] {
  const rows: (Row | Gap)[] = [];
  let reached = 1;
  for (const { from_line, lines } of hunks) {
    if (from_line > reached) rows.push({ kind: "gap", lines: from_line - reached });
    reached = from_line + lines.filter((line) => line.kind !== "added").length;
    for (let at = 0; at < lines.length; ) {
      let end = at + 1;
      if (lines[at]!.kind === "same") rows.push(whole(lines[at]!));
      else {
        while (end < lines.length && lines[end]!.kind !== "same") end++;
        rows.push(...replaced(lines.slice(at, end)));
      }
      at = end;
    }
  }
  const last = rows.slice(-CONTEXT);
  if (last.length === CONTEXT && last.every((row) => row.kind === "same")) rows.push({ kind: "gap", lines: null });
  return rows;
}

/** Signs that Markdown would take for its own. */
const ESCAPED = /\\([!-/:-@[-`{-~])/g;

/** A line of Markdown as prose: how deep a heading it is (0: none), and what is left to be shown of it. */
export function asProse(row: Row): { heading: number; pieces: Piece[] } {
  const pieces = row.pieces.map(({ kind, text }) => ({ kind, text: text.replace(ESCAPED, "$1") }));
  const [first, ...rest] = pieces;
  const sign = first && /^(#{1,6} |\s*[-*+] )/.exec(first.text)?.[1];
  if (!first || !sign) return { heading: 0, pieces };
  const isHeading = sign.startsWith("#");
  const text = first.text.slice(sign.length);
  const shown = isHeading ? text : sign.replace(/[-*+]/, "•") + text;
  // A heading that is nothing but its sign keeps it.
  if (shown === "" && rest.length === 0) return { heading: 0, pieces };
  return { heading: isHeading ? sign.length - 1 : 0, pieces: [{ kind: first.kind, text: shown }, ...rest] };
}

const whole = ({ kind, text }: Line): Row => ({ kind, pieces: text === "" ? [] : [{ kind, text }] });

/** Lines that went and those in their place; apart from each other, if they have too little in common. */
function replaced(lines: Line[]): Row[] {
  const apart = () => lines.map(whole);
  const removed = lines.filter((line) => line.kind === "removed");
  const added = lines.filter((line) => line.kind === "added");
  if (removed.length === 0 || added.length === 0) return apart();
  // Without any mark they were too long to be compared: then all of them changed.
  if (lines.every((line) => line.marks.length === 0)) return apart();
  const rows = woven(piecesOf(removed), piecesOf(added));
  return rows && isReadable(rows) ? rows : apart();
}

/** The lines cut at their marks, with their line ends as pieces of their own. */
function piecesOf(lines: Line[]): Piece[] {
  const pieces: Piece[] = [];
  lines.forEach(({ kind, text, marks }, index) => {
    if (index > 0) pieces.push({ kind: "same", text: "\n" });
    let at = 0;
    for (const [start, end] of marks) {
      if (start > at) pieces.push({ kind: "same", text: text.slice(at, start) });
      if (end > start) pieces.push({ kind, text: text.slice(start, end) });
      at = Math.max(at, end);
    }
    if (at < text.length) pieces.push({ kind: "same", text: text.slice(at) });
  });
  return pieces;
}

/** Both sides as one, or null if what is said to be common is not. */
function woven(removed: Piece[], added: Piece[]): Row[] | null {
  const rows: Row[] = [{ kind: "mixed", pieces: [] }];
  const put = (kind: Line["kind"], text: string) => {
    const { pieces } = rows.at(-1)!;
    const last = pieces.at(-1);
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  };
  const breakLine = () => rows.push({ kind: "mixed", pieces: [] });
  const before = [...removed];
  const after = [...added];
  while (before.length > 0 || after.length > 0) {
    const [old, now] = [before[0], after[0]];
    if (old?.kind === "removed") {
      put("removed", before.shift()!.text);
    } else if (now?.kind === "added") {
      put("added", after.shift()!.text);
    } else if (old?.text === "\n" && now?.text === "\n") {
      before.shift();
      after.shift();
      breakLine();
    } else if (old?.text === "\n") {
      before.shift();
      put("removed", LINE_END);
    } else if (now?.text === "\n") {
      after.shift();
      put("added", LINE_END);
      breakLine();
    } else {
      if (!old || !now) return null;
      const size = Math.min(old.text.length, now.text.length);
      const text = old.text.slice(0, size);
      if (text !== now.text.slice(0, size)) return null;
      put("same", text);
      cut(before, size);
      cut(after, size);
    }
  }
  return rows;
}

/** Takes so much from the first piece. */
function cut(pieces: Piece[], size: number): void {
  const rest = pieces[0]!.text.slice(size);
  if (rest === "") pieces.shift();
  else pieces[0] = { kind: "same", text: rest };
}

function isReadable(rows: Row[]): boolean {
  const pieces = rows.flatMap((row) => row.pieces);
  const length = { same: 0, removed: 0, added: 0 };
  for (const { kind, text } of pieces) length[kind] += text.trim().length;
  const common = length.same / (length.same + Math.max(length.removed, length.added) || 1);
  const shreds = pieces.filter(({ kind }) => kind === "same").length;
  return common >= (shreds > SHREDS ? LITTLE : NEXT_TO_NOTHING);
}
