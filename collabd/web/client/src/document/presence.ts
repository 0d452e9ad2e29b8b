import { modifyAwarenessUpdate } from "y-protocols/awareness";
import { colorFor } from "../identity";

/** Who somebody says they are. */
export interface User {
  name: string;
  color: string;
  colorLight: string;
}

export interface Peer extends User {
  client: number;
  self: boolean;
}

const MAX_NAME = 40;
const HEX_COLOR = /^#[0-9a-f]{6}$/i;
const ROOTS = new Set(["content", "prosemirror"]);

type Loose = Record<string, unknown>;
const isRecord = (value: unknown): value is Loose =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function asUser(name: string, color: string): User {
  return { name, color, colorLight: `${color}33` };
}

function cleanUser(value: unknown): User {
  const claimed = isRecord(value) ? value : {};
  const name = typeof claimed["name"] === "string" ? claimed["name"].trim().slice(0, MAX_NAME) : "";
  const color = claimed["color"];
  if (typeof color === "string" && HEX_COLOR.test(color)) return asUser(name || "Guest", color);
  return asUser(name || "Guest", colorFor(name));
}

function cleanId(value: unknown): { client: number; clock: number } | null {
  if (!isRecord(value)) return null;
  const { client, clock } = value;
  return Number.isSafeInteger(client) && Number.isSafeInteger(clock)
    ? { client: client as number, clock: clock as number }
    : null;
}

/** A Yjs relative position, or null when it is anything else: the editors' bindings throw on those. */
function cleanPosition(value: unknown): Loose | null {
  if (!isRecord(value)) return null;
  const item = cleanId(value["item"]);
  const type = cleanId(value["type"]);
  const tname = typeof value["tname"] === "string" && ROOTS.has(value["tname"]) ? value["tname"] : null;
  if (item === null && type === null && tname === null) return null;
  return { type, tname, item, assoc: Number.isInteger(value["assoc"]) ? value["assoc"] : 0 };
}

/**
 * Another person's presence reduced to what this page shows. Names and colours come from other people and end
 * up in styles and labels; cursors end up in the editors' bindings: nothing of it is taken as it comes.
 */
export function cleanState(state: unknown): Loose | null {
  if (!isRecord(state)) return null;
  const cursor = isRecord(state["cursor"]) ? state["cursor"] : {};
  const anchor = cleanPosition(cursor["anchor"]);
  const head = cleanPosition(cursor["head"]);
  return { user: cleanUser(state["user"]), cursor: anchor && head ? { anchor, head } : null };
}

export const cleanAwareness = (update: Uint8Array): Uint8Array => modifyAwarenessUpdate(update, cleanState);

/** Everyone here, oneself first, then in the order of their names. */
export function peersFrom(states: Map<number, Loose>, self: number): Peer[] {
  const peers: Peer[] = [];
  for (const [client, state] of states) {
    if (isRecord(state["user"])) peers.push({ ...(state["user"] as unknown as User), client, self: client === self });
  }
  return peers.sort((a, b) => Number(b.self) - Number(a.self) || a.name.localeCompare(b.name) || a.client - b.client);
}

/** Two letters at most, for a round badge. */
export function initials(name: string): string {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  const first = [...(words[0] ?? "?")][0]!;
  const last = words.length > 1 ? [...words.at(-1)!][0]! : "";
  return (first + last).toLocaleUpperCase();
}

const shown = new WeakMap<Element, Animation>();

/** Shows a caret's name for a moment; the stylesheet shows it again when it is pointed at. */
export function flashLabel(label: Element): void {
  shown.get(label)?.cancel();
  shown.set(
    label,
    label.animate([{ opacity: 1 }, { opacity: 1, offset: 0.85 }, { opacity: 0 }], { duration: 3000, easing: "linear" }),
  );
}
