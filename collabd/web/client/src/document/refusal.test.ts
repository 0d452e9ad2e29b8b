import { describe, expect, it } from "vitest";
import { asSentence, isFinal, refusalFrom } from "./refusal";

const close = (code: number, reason: string) => ({ code, reason });

describe("a refusal", () => {
  it("says whether a document was open before", () => {
    expect(refusalFrom(close(4401, "sign-in: who may read has to sign in"), false, false)).toEqual({
      code: 4401,
      title: "You need to sign in to open this document",
      detail: "",
    });
    const ended = refusalFrom(close(4401, "sign-in: who may read has to sign in"), true, false);
    expect(ended.title).toBe("You are signed out");
    expect(ended.detail).toMatch(/session has ended/);
    expect(refusalFrom(close(4403, "not-allowed: x"), false, false).title).toBe("You do not have the right to open this document");
    expect(refusalFrom(close(4403, "not-allowed: you may not read this document"), true, false)).toEqual({
      code: 4403,
      title: "Your right to this document has ended",
      detail: "You may not read this document.",
    });
  });

  it("tells who came by a link that it holds no longer", () => {
    const never = refusalFrom(close(4401, "sign-in: x"), false, true);
    expect(never.title).toBe("You need to sign in to open this document");
    expect(never.detail).toMatch(/^The link does not hold/);
    const ended = refusalFrom(close(4401, "sign-in: x"), true, true);
    expect(ended.title).toBe("Your right to this document has ended");
    expect(ended.detail).toMatch(/^The link does not hold/);
  });

  it("is told in the server's words where there are no better ones", () => {
    expect(refusalFrom(close(4499, "odd: something odd"), true, false)).toEqual({
      code: 4499,
      title: "The server closed this document",
      detail: "Something odd.",
    });
  });

  it("is final, unless a session ended: then it is to be seen what is possible without", () => {
    expect([4401, 4403, 1009].map(isFinal)).toEqual([true, true, true]);
    expect([4501, 1012, 1006].map(isFinal)).toEqual([false, false, false]);
  });
});

describe("a sentence", () => {
  it.each([
    ["", ""],
    ["no", "No."],
    ["No!", "No!"],
  ])("is made of %j", (words, sentence) => {
    expect(asSentence(words)).toBe(sentence);
  });
});
