import type { Place } from "../address";
import type { Gap, Piece, Row } from "./inline";
import { asProse, rowsOf } from "./inline";
import { Problem } from "./past";
import { compare } from "./server";
import { useAnswer } from "./use-answer";

interface Props {
  place: Place;
  from: number;
  to: number;
}

const wordsIn = (text: string): number => text.match(/[\p{L}\p{N}]+/gu)?.length ?? 0;
const counted = (count: number): string => `${count.toLocaleString()} ${count === 1 ? "word" : "words"}`;

function summary(rows: (Row | Gap)[]): string {
  const words = { same: 0, removed: 0, added: 0 };
  for (const row of rows) {
    if (row.kind !== "gap") for (const { kind, text } of row.pieces) words[kind] += wordsIn(text);
  }
  if (words.added === 0 && words.removed === 0) return "Only signs, spaces or line breaks changed";
  const parts = [];
  if (words.added > 0) parts.push(`${counted(words.added)} added`);
  if (words.removed > 0) parts.push(`${counted(words.removed)} removed`);
  return parts.join(", ");
}

/** Bold words are bold, where both signs stand in the same stretch; whatever else is left as it is written. */
const inBold = (text: string) => text.split(/\*\*(.+?)\*\*/).map((part, at) => (at % 2 ? <b>{part}</b> : part));

function Stretch({ kind, text, prose }: Piece & { prose: boolean }) {
  const words = prose ? inBold(text) : text;
  if (kind === "same") return <>{words}</>;
  const Mark = kind === "added" ? "ins" : "del";
  return (
    <Mark>
      <span class="visually-hidden">{` (${kind}: `}</span>
      {words}
      <span class="visually-hidden">{") "}</span>
    </Mark>
  );
}

function gapWords({ lines }: Gap): string {
  if (lines === null) return "The rest is unchanged";
  return lines === 1 ? "1 unchanged line" : `${lines.toLocaleString()} unchanged lines`;
}

function LineOf({ row, prose }: { row: Row; prose: boolean }) {
  const { heading, pieces } = prose ? asProse(row) : { heading: 0, pieces: row.pieces };
  return (
    <p class="comparison-line" data-heading={heading}>
      {pieces.map((piece) => (
        <Stretch {...piece} prose={prose} />
      ))}
    </p>
  );
}

/** What came and what went between two versions, in the text itself. */
export function ComparisonView({ place, from, to }: Props) {
  const answer = useAnswer((signal) => compare(place, from, to, signal), [place, from, to]);
  if (answer.is === "waiting") return <div class="sheet waiting" aria-busy="true" />;
  if (answer.is === "failed") return <Problem words={answer.problem} />;
  const { format, hunks } = answer.value;
  const rows = rowsOf(hunks);
  if (rows.length === 0) return <p class="past-empty">Nothing in the text changed.</p>;
  return (
    <div class="sheet comparison" data-format={format}>
      <p class="comparison-summary" role="status">
        {summary(rows)}
      </p>
      {rows.map((row) =>
        row.kind === "gap" ? (
          <p class="comparison-gap">{gapWords(row)}</p>
        ) : (
          <LineOf row={row} prose={format === "markdown"} />
        ),
      )}
    </div>
  );
}
