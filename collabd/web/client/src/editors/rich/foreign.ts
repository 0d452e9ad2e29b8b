import * as Y from "yjs";
import { schema } from "./schema";

type SharedType = Y.AbstractType<any>;

/** The binding adds a hash to a mark's name where marks of one name may overlap. */
const MARK_HASH = /--[a-zA-Z0-9+/=]{8}$/;

const isElementName = (name: string): boolean => name in schema.nodes && name !== "doc" && name !== "text";

/**
 * The first thing in a rich text that this editor has no word for, or null.
 *
 * The binding deletes what it cannot show, for everyone. So whatever is not known here must be found before the
 * binding sees it.
 */
export function firstForeign(fragment: Y.XmlFragment): string | null {
  return foreignIn(fragment, () => true);
}

/** The same, for what one transaction brought into the fragment. */
export function firstForeignIn(transaction: Y.Transaction, fragment: Y.XmlFragment): string | null {
  const isNew = (type: SharedType) => {
    const id = type._item?.id;
    return id !== undefined && id.clock >= (transaction.beforeState.get(id.client) ?? 0);
  };
  for (const type of transaction.changed.keys()) {
    if (!lies(type as SharedType, fragment)) continue;
    const found = foreignIn(type as SharedType, isNew);
    if (found !== null) return found;
  }
  return null;
}

function lies(type: SharedType, fragment: Y.XmlFragment): boolean {
  for (let at: SharedType | null = type; at; at = at._item?.parent as SharedType | null) {
    if (at === fragment) return true;
    if (!at._item) return false;
  }
  return false;
}

function foreignIn(root: SharedType, follow: (type: SharedType) => boolean): string | null {
  const waiting = [root];
  for (let type = waiting.pop(); type; type = waiting.pop()) {
    if (type instanceof Y.XmlText) {
      const found = foreignText(type);
      if (found !== null) return found;
    } else if (type instanceof Y.XmlElement && !isElementName(type.nodeName)) {
      return type.nodeName;
    } else if (type instanceof Y.XmlFragment) {
      const isRoot = !(type instanceof Y.XmlElement);
      for (const child of type.toArray() as SharedType[]) {
        if (child instanceof Y.XmlHook) return "hook";
        if (isRoot && child instanceof Y.XmlText) return "text outside a paragraph";
        if (follow(child)) waiting.push(child);
      }
    }
  }
  return null;
}

function foreignText(text: Y.XmlText): string | null {
  for (const { insert, attributes } of text.toDelta() as { insert: unknown; attributes?: object }[]) {
    if (typeof insert !== "string") return "embed";
    for (const key of Object.keys(attributes ?? {})) {
      const mark = key.replace(MARK_HASH, "");
      if (!(mark in schema.marks)) return mark;
    }
  }
  return null;
}
