import { describe, expect, it } from "vitest";
import { asProse, rowsOf } from "./inline";
import type { Hunk, Line } from "./server";

const same = (text: string): Line => ({ kind: "same", text, marks: [] });
const removed = (text: string, ...marks: Line["marks"]): Line => ({ kind: "removed", text, marks });
const added = (text: string, ...marks: Line["marks"]): Line => ({ kind: "added", text, marks });

const hunk = (...lines: Line[]): Hunk => ({ from_line: 1, to_line: 1, lines });

/** Rows as one would write them: [-gone-], {+come+}. */
function show(hunks: Hunk[]): string[] {
  return rowsOf(hunks).map((row) => {
    if (row.kind === "gap") return `… ${row.lines}`;
    return row.pieces
      .map(({ kind, text }) => (kind === "same" ? text : kind === "removed" ? `[-${text}-]` : `{+${text}+}`))
      .join("");
  });
}

describe("a comparison to be read", () => {
  it("has the words that changed beside each other", () => {
    const lines = [removed("the quick fox runs", [4, 9]), added("the slow fox runs", [4, 8])];
    expect(show([hunk(same("before"), ...lines, same("after"))])).toEqual([
      "before",
      "the [-quick-]{+slow+} fox runs",
      "after",
    ]);
  });

  it("takes a line without marks for unchanged where the other side has them", () => {
    expect(show([hunk(removed("one two"), added("one two three", [7, 13]))])).toEqual(["one two{+ three+}"]);
  });

  it("shows lines one below the other when nothing says what they have in common", () => {
    expect(show([hunk(removed("abc def"), added("xyz"))])).toEqual(["[-abc def-]", "{+xyz+}"]);
  });

  it("shows lines one below the other when too little is common", () => {
    const lines = [removed("a quick brown fox", [2, 17]), added("a slow tortoise", [2, 15])];
    expect(show([hunk(...lines)])).toEqual(["[-a quick brown fox-]", "{+a slow tortoise+}"]);
  });

  it("shows lines one below the other when what is common is in shreds", () => {
    const old = "a b c d e f".replaceAll(/[b-f]/g, (letter) => letter.repeat(8));
    const marks = [2, 11, 20, 29, 38].map((at): [number, number] => [at, at + 8]);
    const line = (kind: "removed" | "added", text: string): Line => ({ kind, text, marks });
    expect(show([hunk(line("removed", old), line("added", old.toUpperCase().replace("A", "a")))])).toHaveLength(2);
  });

  it("keeps lines that only came or only went whole", () => {
    expect(show([hunk(added("new"), added(""))])).toEqual(["{+new+}", ""]);
    expect(rowsOf([hunk(removed("old"))])[0]).toMatchObject({ kind: "removed" });
  });

  it("shows where a line was cut in two", () => {
    const lines = [removed("one two three four", [7, 8]), added("one two"), added("three four")];
    expect(show([hunk(...lines)])).toEqual(["one two[- -]{+¶+}", "three four"]);
  });

  it("shows where two lines became one", () => {
    const lines = [removed("one two"), removed("three four"), added("one two three four", [7, 8])];
    expect(show([hunk(...lines)])).toEqual(["one two{+ +}[-¶-]three four"]);
  });

  it("does not trust marks that do not fit", () => {
    expect(show([hunk(removed("abc", [0, 1]), added("xyz", [0, 1]))])).toEqual(["[-abc-]", "{+xyz+}"]);
  });

  it("counts the lines left out", () => {
    const hunks = [
      { from_line: 4, to_line: 4, lines: [same("four"), removed("five"), same("six")] },
      { from_line: 12, to_line: 11, lines: [same("twelve"), added("new")] },
    ];
    expect(show(hunks)).toEqual(["… 3", "four", "[-five-]", "six", "… 5", "twelve", "{+new+}"]);
  });

  it("says that there may be more behind", () => {
    expect(show([hunk(added("new"), same("a"), same("b"))]).at(-1)).toBe("b");
    expect(show([hunk(added("new"), same("a"), same("b"), same("c"))]).at(-1)).toBe("… null");
  });
});

describe("a line of Markdown as prose", () => {
  const line = (...texts: string[]) => ({
    kind: "mixed" as const,
    pieces: texts.map((text, index) => ({ kind: index ? ("added" as const) : ("same" as const), text })),
  });

  it.each([
    [["## Plan", " B"], 2, ["Plan", " B"]],
    [["- tents"], 0, ["• tents"]],
    [["  * boots"], 0, ["  • boots"]],
    [["plain # text"], 0, ["plain # text"]],
    [["2 \\* 3 is 6\\."], 0, ["2 * 3 is 6."]],
    [["# "], 0, ["# "]],
    [["#", "# Plan"], 0, ["#", "# Plan"]],
    [[], 0, []],
  ])("%j", (texts, heading, shown) => {
    const prose = asProse(line(...texts));
    expect([prose.heading, prose.pieces.map(({ text }) => text)]).toEqual([heading, shown]);
  });
});
