import { effect, signal } from "@preact/signals";
import type { Place } from "./address";
import { address } from "./here";
import type { Kind } from "./document/shape";
import { readStored, writeStored } from "./stored";

/** A document that was open in this browser. */
export interface Recent {
  name: string;
  kind: Kind | null;
  openedAt: number;
  /** The secret of the link that it was opened by. */
  link?: string | null;
}

const LIMIT = 12;
const KEY = `recent:${address.mount}`;

function isRecents(value: unknown): value is Recent[] {
  return (
    Array.isArray(value) &&
    value.every(
      (one: Partial<Recent> | null) =>
        typeof one?.name === "string" &&
        typeof one.openedAt === "number" &&
        (one.link == null || typeof one.link === "string"),
    )
  );
}

export const recents = signal<Recent[]>(readStored(KEY, isRecents) ?? []);

effect(() => writeStored(KEY, recents.value));

export function rememberRecent({ name, link }: Place, kind: Kind | null): void {
  const others = recents.peek().filter((one) => one.name !== name);
  recents.value = [{ name, kind, openedAt: Date.now(), link }, ...others].slice(0, LIMIT);
}

/** The secret of the link that a document was opened by before. So its name alone opens it, also after signing in. */
export const rememberedLink = (name: string): string | null =>
  recents.peek().find((one) => one.name === name)?.link ?? null;

export function forgetRecent(name: string): void {
  recents.value = recents.peek().filter((one) => one.name !== name);
}
