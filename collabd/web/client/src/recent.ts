import { effect, signal } from "@preact/signals";
import { address } from "./here";
import type { Kind } from "./document/shape";
import { readStored, writeStored } from "./stored";

/** A document that was open in this browser. */
export interface Recent {
  name: string;
  kind: Kind | null;
  openedAt: number;
}

const LIMIT = 12;
const KEY = `recent:${address.mount}`;

function isRecents(value: unknown): value is Recent[] {
  return (
    Array.isArray(value) &&
    value.every((one: Partial<Recent> | null) => typeof one?.name === "string" && typeof one.openedAt === "number")
  );
}

export const recents = signal<Recent[]>(readStored(KEY, isRecents) ?? []);

effect(() => writeStored(KEY, recents.value));

export function rememberRecent(name: string, kind: Kind | null): void {
  const others = recents.peek().filter((one) => one.name !== name);
  recents.value = [{ name, kind, openedAt: Date.now() }, ...others].slice(0, LIMIT);
}

export function forgetRecent(name: string): void {
  recents.value = recents.peek().filter((one) => one.name !== name);
}
