import type { Change, NamedVersion, Timeline } from "./server";

/** One line of the panel's list: a change, or a version within one that somebody named. */
export interface Entry {
  /** The version it shows. */
  seq: number;
  /** The first update of the change it belongs to. */
  first: number;
  name: string | null;
  change: Change;
}

export interface Day {
  label: string;
  entries: Entry[];
}

/** What is known of a document's past so far. */
export interface Known {
  head: number;
  changes: Change[];
  /** Where the older changes go on; null when there are none. */
  next: number | null;
}

/** The newest changes read again: what they do not reach stays. */
export function withNewest(known: Known | null, page: Timeline): Known {
  const oldest = page.changes.at(-1);
  const older = oldest ? (known?.changes.filter((change) => change.first < oldest.first) ?? []) : [];
  const next = older.length > 0 ? known!.next : page.next;
  return { head: page.head, changes: [...page.changes, ...older], next };
}

/** Older changes put behind those that are known. */
export function withOlder(known: Known, page: Timeline): Known {
  const oldest = known.changes.at(-1)?.first ?? Infinity;
  const older = page.changes.filter((change) => change.first < oldest);
  return { head: Math.max(known.head, page.head), changes: [...known.changes, ...older], next: page.next };
}

/** A version with another name, or with none. */
export function withName(known: Known, seq: number, name: string | null): Known {
  const changes = known.changes.map((change) => {
    if (seq < change.first || seq > change.seq) return change;
    const others = change.versions.filter((version) => version.seq !== seq);
    const versions = name === null ? others : [...others, { seq, name }];
    return { ...change, versions: versions.sort((a, b) => a.seq - b.seq) };
  });
  return { ...known, changes };
}

/** A change as the list shows it: what it came to, then the named versions on the way there, newest first. */
export function entriesOf(change: Change): Entry[] {
  const named = (version: NamedVersion): Entry => ({ ...version, first: change.first, change });
  const within = change.versions.filter((version) => version.seq !== change.seq).map(named);
  const name = change.versions.find((version) => version.seq === change.seq)?.name ?? null;
  return [{ seq: change.seq, first: change.first, name, change }, ...within.reverse()];
}

const weekday = new Intl.DateTimeFormat("en", { weekday: "long", month: "long", day: "numeric" });
const anyYear = new Intl.DateTimeFormat("en", { month: "long", day: "numeric", year: "numeric" });
/** Twelve or twenty-four hours, as this browser's language has it. */
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const shortDay = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const shortDate = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", year: "numeric" });

const midnight = (time: Date): number => new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();

/** "Today", "Yesterday", the date. */
export function dayLabel(time: Date, now: Date): string {
  const days = Math.round((midnight(now) - midnight(time)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (time.getFullYear() === now.getFullYear() ? weekday : anyYear).format(time);
}

/** From when to when, or just when if the clock shows the same. */
export function timesOf(change: Change): string {
  const [start, end] = [clock.format(new Date(change.started_at)), clock.format(new Date(change.ended_at))];
  return start === end ? end : `${start} – ${end}`;
}

/** A version as the object of a sentence. */
export function phraseOf(entry: Entry, now = new Date()): string {
  if (entry.name !== null) return `version “${entry.name}”`;
  const title = titleOf(entry, now);
  return `version of ${title.replace(/^(Today|Yesterday)/, (day) => day.toLowerCase())}`;
}

/** What to call a version: its name, else when it was. */
export function titleOf(entry: Entry, now = new Date()): string {
  if (entry.name !== null) return entry.name;
  const end = new Date(entry.change.ended_at);
  const day = dayLabel(end, now);
  if (day === "Today" || day === "Yesterday") return `${day}, ${clock.format(end)}`;
  return `${(end.getFullYear() === now.getFullYear() ? shortDay : shortDate).format(end)}, ${clock.format(end)}`;
}

/** The list, day by day. */
export function daysOf(changes: Change[], now = new Date()): Day[] {
  const days: Day[] = [];
  for (const change of changes) {
    const entries = entriesOf(change);
    const label = dayLabel(new Date(change.ended_at), now);
    const last = days.at(-1);
    if (last?.label === label) last.entries.push(...entries);
    else days.push({ label, entries });
  }
  return days;
}
