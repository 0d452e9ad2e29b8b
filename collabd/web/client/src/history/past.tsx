import { useEffect, useState } from "preact/hooks";
import * as Y from "yjs";
import { shapeOf, type Shape } from "../document/shape";
import { lazy } from "../ui/lazy";
import { readExport, readVersion } from "./server";
import { useAnswer } from "./use-answer";

const PastRich = lazy(() => import("./past-rich"));
const PastText = lazy(() => import("./past-text"));

/** What stands for a version that the page has no editor for. */
const exportOf = (shape: Shape): string =>
  shape.is === "notebook" || shape.is === "editable" ? "markdown" : "json";

function Exported({ name, seq, format }: { name: string; seq: number; format: string }) {
  const answer = useAnswer((signal) => readExport(name, seq, format, signal), [name, seq, format]);
  if (answer.is === "waiting") return <div class="sheet waiting" aria-busy="true" />;
  if (answer.is === "failed") return <Problem words={answer.problem} />;
  return (
    <div class="sheet past-export">
      <pre>{answer.value}</pre>
    </div>
  );
}

export const Problem = ({ words }: { words: string }) => (
  <p class="notice" role="alert">
    {words}
  </p>
);

async function load(name: string, seq: number, signal: AbortSignal): Promise<{ doc: Y.Doc; shape: Shape }> {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, await readVersion(name, seq, signal));
  return { doc, shape: shapeOf(doc, name, true) };
}

/** A document as it was after its update `seq`. */
export function Past({ name, seq }: { name: string; seq: number }) {
  const [isForeign, setForeign] = useState(false);
  const answer = useAnswer((signal) => load(name, seq, signal), [name, seq]);
  useEffect(() => setForeign(false), [name, seq]);
  if (answer.is === "waiting") return <div class="sheet waiting" aria-busy="true" />;
  if (answer.is === "failed") return <Problem words={answer.problem} />;
  const { doc, shape } = answer.value;
  if (shape.is === "empty") return <p class="past-empty">There was nothing in it.</p>;
  if (shape.is !== "editable" || isForeign) return <Exported name={name} seq={seq} format={exportOf(shape)} />;
  if (shape.kind === "rich") {
    return <PastRich fragment={doc.getXmlFragment("prosemirror")} onForeign={() => setForeign(true)} />;
  }
  const text = doc.getText("content").toString();
  if (text === "") return <p class="past-empty">There was nothing in it.</p>;
  return <PastText text={text} markdown={shape.kind === "markdown"} />;
}
