import { useEffect, useState } from "preact/hooks";
import * as Y from "yjs";
import type { Place } from "../address";
import { shapeOf, type Shape } from "../document/shape";
import { lazy } from "../ui/lazy";
import { readExport, readVersion } from "./server";
import { useAnswer } from "./use-answer";

const PastRich = lazy(() => import("./past-rich"));
const PastText = lazy(() => import("./past-text"));

/** A version that the page has no editor for: as Markdown if it is prose, else whatever it holds. */
function Exported({ place, seq, format }: { place: Place; seq: number; format: "markdown" | "json" }) {
  const answer = useAnswer((signal) => readExport(place, seq, format, signal), [place, seq, format]);
  if (answer.is === "waiting") return <div class="sheet waiting" aria-busy="true" />;
  if (answer.is === "failed") return <Problem words={answer.problem} />;
  const words = format === "json" ? JSON.stringify(JSON.parse(answer.value), null, 2) : answer.value;
  return <Plain parts={[words]} />;
}

const Plain = ({ parts }: { parts: string[] }) => (
  <div class="sheet past-export">
    {parts.map((words) => (
      <pre>{words}</pre>
    ))}
  </div>
);

/** What is written in a notebook's cells, without what they put out. */
const sourcesOf = (doc: Y.Doc): string[] =>
  doc.getArray("cells").map((cell) => (cell instanceof Y.Map ? String(cell.get("source") ?? "") : ""));

export const Problem = ({ words }: { words: string }) => (
  <p class="notice" role="alert">
    {words}
  </p>
);

async function load(place: Place, seq: number, signal: AbortSignal): Promise<{ doc: Y.Doc; shape: Shape }> {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, await readVersion(place, seq, signal));
  return { doc, shape: shapeOf(doc, place.name, true) };
}

/** A document as it was after its update `seq`. */
export function Past({ place, seq }: { place: Place; seq: number }) {
  const [isForeign, setForeign] = useState(false);
  const answer = useAnswer((signal) => load(place, seq, signal), [place, seq]);
  useEffect(() => setForeign(false), [place, seq]);
  if (answer.is === "waiting") return <div class="sheet waiting" aria-busy="true" />;
  if (answer.is === "failed") return <Problem words={answer.problem} />;
  const { doc, shape } = answer.value;
  if (shape.is === "empty") return <p class="past-empty">There was nothing in it.</p>;
  if (shape.is === "notebook") return <Plain parts={sourcesOf(doc)} />;
  if (shape.is !== "editable") return <Exported place={place} seq={seq} format="json" />;
  if (isForeign) return <Exported place={place} seq={seq} format="markdown" />;
  if (shape.kind === "rich") {
    return <PastRich fragment={doc.getXmlFragment("prosemirror")} onForeign={() => setForeign(true)} />;
  }
  const text = doc.getText("content").toString();
  if (text === "") return <p class="past-empty">There was nothing in it.</p>;
  return <PastText text={text} markdown={shape.kind === "markdown"} />;
}
