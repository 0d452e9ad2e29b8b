import { effect, signal } from "@preact/signals";
import { readStored, writeStored } from "./stored";

/** Dark enough to carry white text (WCAG AA). */
export const COLORS = [
  { name: "Red", value: "#b3261e" },
  { name: "Orange", value: "#a34a00" },
  { name: "Ochre", value: "#7d5b00" },
  { name: "Green", value: "#2b6e31" },
  { name: "Teal", value: "#00686c" },
  { name: "Blue", value: "#1b61b4" },
  { name: "Indigo", value: "#4a53c2" },
  { name: "Violet", value: "#7b43b3" },
  { name: "Magenta", value: "#a52f7c" },
  { name: "Brown", value: "#6c4e3e" },
] as const;

/** The colour of somebody who has chosen none. */
export function colorFor(name: string): string {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.charCodeAt(0)) >>> 0;
  return COLORS[hash % COLORS.length]!.value;
}

export interface Identity {
  name: string;
  color: string;
}

const TEMPERS = ["Quiet", "Bright", "Gentle", "Swift", "Merry", "Patient", "Bold", "Curious", "Early", "Clever"];
const BIRDS = ["Heron", "Wren", "Plover", "Finch", "Swift", "Robin", "Tern", "Lark", "Owl", "Kestrel"];

const oneOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!;

function isIdentity(value: unknown): value is Identity {
  const known = value as Partial<Identity> | null;
  return typeof known?.name === "string" && known.name !== "" && COLORS.some((color) => color.value === known.color);
}

/** Who this person is to others. Kept in this browser; made up at the first visit. */
export const identity = signal<Identity>(
  readStored("identity", isIdentity) ?? { name: `${oneOf(TEMPERS)} ${oneOf(BIRDS)}`, color: oneOf(COLORS).value },
);

effect(() => writeStored("identity", identity.value));
