import type { Place } from "../address";
import { askAbout, ServerError } from "../document/server";
import { address } from "../here";

/** What one person has in a change. */
export interface Author {
  name: string;
  principal: string;
  updates: number;
}

export interface NamedVersion {
  seq: number;
  name: string;
}

/** What the same people wrote without a long pause: the updates `first` to `seq`. */
export interface Change {
  first: number;
  seq: number;
  started_at: string;
  ended_at: string;
  authors: Author[];
  versions: NamedVersion[];
}

export interface Timeline {
  head: number;
  changes: Change[];
  next: number | null;
}

/** One line of a comparison. `marks` are the stretches of it that changed, where it stands for another line. */
export interface Line {
  kind: "same" | "removed" | "added";
  text: string;
  marks: [start: number, end: number][];
}

export interface Hunk {
  from_line: number;
  to_line: number;
  lines: Line[];
}

export interface Comparison {
  format: "text" | "markdown";
  hunks: Hunk[];
}

type Query = Record<string, string>;

async function get<T>(place: Place, url: string, signal?: AbortSignal): Promise<T> {
  return (await (await askAbout(place, url, signal ? { signal } : {})).json()) as T;
}

export const readTimeline = (place: Place, query: Query, signal?: AbortSignal): Promise<Timeline> =>
  get(place, address.past("history", place.name, query), signal);

/** What changed between two versions; version 0 is empty. */
export async function compare(place: Place, from: number, to: number, signal?: AbortSignal): Promise<Comparison> {
  try {
    return await get(place, address.past("diff", place.name, { from: String(from), to: String(to) }), signal);
  } catch (error) {
    if (!(error instanceof ServerError) || error.code !== "unsupported-format") throw error;
    throw new Error("What changed in a document of this kind cannot be shown as text.");
  }
}

/** All of a version, as one Yjs update. */
export async function readVersion(place: Place, seq: number, signal?: AbortSignal): Promise<Uint8Array> {
  const url = address.document(place.name, { version: String(seq), format: "update" });
  return new Uint8Array(await (await askAbout(place, url, signal ? { signal } : {})).arrayBuffer());
}

/** A version in words, for what the page has no editor for. */
export async function readExport(place: Place, seq: number, format: string, signal?: AbortSignal): Promise<string> {
  const url = address.document(place.name, { version: String(seq), format });
  return (await askAbout(place, url, signal ? { signal } : {})).text();
}

/** Names a version: the newest if no number is given. Returns its number. */
export async function nameVersion(place: Place, title: string, seq?: number): Promise<NamedVersion> {
  const response = await askAbout(place, address.past("versions", place.name), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(seq === undefined ? { name: title } : { name: title, seq }),
  });
  return (await response.json()) as NamedVersion;
}

export async function unnameVersion(place: Place, seq: number): Promise<void> {
  await askAbout(place, address.past("versions", place.name, { seq: String(seq) }), { method: "DELETE" });
}

/**
 * Brings back the content of a version by an edit, which reaches everybody like any other.
 * Returns the edit's number; null if the content was the same already.
 */
export async function restoreVersion(place: Place, version: number): Promise<number | null> {
  const { head } = await readTimeline(place, { limit: "1" });
  const url = address.past("restore", place.name, { version: String(version) });
  const response = await askAbout(place, url, { method: "POST" });
  const { seq } = (await response.json()) as { seq: number };
  return seq > head ? seq : null;
}
