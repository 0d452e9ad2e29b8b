import { describe, expect, it } from "vitest";
import type { Change, NamedVersion } from "./server";
import { dayLabel, daysOf, entriesOf, phraseOf, timesOf, titleOf, withName, withNewest, withOlder } from "./timeline";

const at = (day: number, hour: number) => new Date(2026, 2, day, hour).toISOString();

function change(first: number, seq: number, versions: NamedVersion[] = [], day = 7): Change {
  return { first, seq, started_at: at(day, 9), ended_at: at(day, 10), authors: [], versions };
}

const firsts = ({ changes }: { changes: Change[] }) => changes.map((one) => one.first);

describe("what is known of the past", () => {
  it("grows at its end by older changes, each once", () => {
    const known = withNewest(null, { head: 9, changes: [change(7, 9), change(5, 6)], next: 5 });
    const all = withOlder(known, { head: 9, changes: [change(5, 6), change(1, 4)], next: null });
    expect(firsts(all)).toEqual([7, 5, 1]);
    expect(all.next).toBeNull();
  });

  it("keeps the older ones when the newest are read again", () => {
    const known = { head: 9, changes: [change(7, 9), change(5, 6), change(1, 4)], next: null };
    const all = withNewest(known, { head: 12, changes: [change(10, 12), change(7, 9)], next: 7 });
    expect(firsts(all)).toEqual([10, 7, 5, 1]);
    expect(all).toMatchObject({ head: 12, next: null });
  });

  it("follows a name given and taken away", () => {
    const known = { head: 9, changes: [change(5, 9, [{ seq: 6, name: "six" }]), change(1, 4)], next: null };
    const named = withName(known, 9, "nine");
    expect(named.changes[0]!.versions).toEqual([
      { seq: 6, name: "six" },
      { seq: 9, name: "nine" },
    ]);
    expect(withName(named, 6, null).changes[0]!.versions).toEqual([{ seq: 9, name: "nine" }]);
    expect(named.changes[1]).toBe(known.changes[1]);
  });
});

describe("the list", () => {
  it("puts the named versions of a change below it, the newest first", () => {
    const versions = [
      { seq: 2, name: "two" },
      { seq: 5, name: "five" },
      { seq: 9, name: "end" },
    ];
    const entries = entriesOf(change(1, 9, versions));
    expect(entries.map(({ seq, name }) => [seq, name])).toEqual([
      [9, "end"],
      [5, "five"],
      [2, "two"],
    ]);
  });

  it("goes by days", () => {
    const days = daysOf([change(8, 9), change(5, 7), change(1, 4, [], 6)], new Date(2026, 2, 7, 23));
    expect(days.map(({ label, entries }) => [label, entries.length])).toEqual([
      ["Today", 2],
      ["Yesterday", 1],
    ]);
  });

  it.each([
    [new Date(2026, 2, 7, 0, 1), "Today"],
    [new Date(2026, 2, 6, 23, 59), "Yesterday"],
    [new Date(2026, 2, 2), "Monday, March 2"],
    [new Date(2025, 11, 31), "December 31, 2025"],
  ])("calls the day of %s %s", (time, label) => expect(dayLabel(time, new Date(2026, 2, 7, 12))).toBe(label));

  it("says one time where the clock shows only one", () => {
    const short = { ...change(1, 2), ended_at: at(7, 9) };
    expect(timesOf(short)).not.toContain("–");
    expect(timesOf(change(1, 2))).toContain("–");
  });

  it("calls a version by its name, else by its time", () => {
    const [entry] = entriesOf(change(1, 9));
    expect(titleOf(entry!, new Date(2026, 2, 7, 23))).toMatch(/^Today, 10:00/);
    expect(titleOf(entry!, new Date(2026, 2, 20))).toMatch(/^Mar 7, 10:00/);
    expect(titleOf({ ...entry!, name: "draft" })).toBe("draft");
  });

  it("speaks of a version by its name, else by its time", () => {
    const [entry] = entriesOf(change(1, 9));
    expect(phraseOf({ ...entry!, name: "draft" })).toBe("version “draft”");
    expect(phraseOf(entry!, new Date(2026, 2, 8))).toMatch(/^version of yesterday, 10:00/);
    expect(phraseOf(entry!, new Date(2026, 2, 20))).toMatch(/^version of Mar 7, 10:00/);
  });
});
