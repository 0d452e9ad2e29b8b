import * as Y from "yjs";

/** What this page can edit, and where: Text root `content`, XmlFragment root `prosemirror`. */
export type Kind = "text" | "markdown" | "rich";

export const KINDS: readonly Kind[] = ["rich", "markdown", "text"];

export const KIND_NAMES: Record<Kind, string> = { rich: "Rich text", markdown: "Markdown", text: "Plain text" };

export const isKind = (value: unknown): value is Kind => KINDS.includes(value as Kind);

export type Shape =
  | { is: "unknown" }
  | { is: "editable"; kind: Kind }
  | { is: "empty" }
  | { is: "notebook" }
  | { is: "foreign"; roots: string[] };

type Holds = "nothing" | "text" | "xml" | "map" | "list";

/**
 * What lies directly in a root, told from its items: a root that only other programs have named has no type
 * here yet, and giving it the wrong one would break it.
 */
function holds(root: Y.AbstractType<unknown>): Holds {
  for (let item = root._start; item !== null; item = item.right) {
    const content = item.content;
    if (content instanceof Y.ContentString || content instanceof Y.ContentFormat) return "text";
    if (content instanceof Y.ContentType) {
      return content.type instanceof Y.XmlElement || content.type instanceof Y.XmlText ? "xml" : "list";
    }
    if (!(content instanceof Y.ContentDeleted)) return "list";
  }
  return root._map.size > 0 ? "map" : "nothing";
}

function rootHolds(doc: Y.Doc, name: string): Holds {
  const root = doc.share.get(name);
  return root ? holds(root as Y.AbstractType<unknown>) : "nothing";
}

/**
 * What a document is: as its `meta` says, else as its contents show.
 * `complete` says whether everything there is has arrived; before, an empty document is merely unknown.
 */
export function shapeOf(doc: Y.Doc, name: string, complete: boolean): Shape {
  const meta = rootHolds(doc, "meta") === "map" ? doc.getMap("meta").get("kind") : undefined;
  if (isKind(meta)) return { is: "editable", kind: meta };
  if (rootHolds(doc, "cells") === "list") return { is: "notebook" };
  if (rootHolds(doc, "prosemirror") === "xml") return { is: "editable", kind: "rich" };
  if (rootHolds(doc, "content") === "text") {
    return { is: "editable", kind: /\.(md|markdown)$/i.test(name) ? "markdown" : "text" };
  }
  if (!complete) return { is: "unknown" };
  const roots = [...doc.share.keys()].filter((root) => rootHolds(doc, root) !== "nothing");
  return roots.length > 0 ? { is: "foreign", roots } : { is: "empty" };
}

/** Makes an empty document one of a kind: its first edit. */
export function setKind(doc: Y.Doc, kind: Kind): void {
  doc.getMap("meta").set("kind", kind);
}
