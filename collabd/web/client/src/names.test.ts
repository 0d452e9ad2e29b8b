import { describe, expect, it } from "vitest";
import { addressFrom } from "./address";
import { fileNameIn, suggestName, tidyName, whyNotAName } from "./names";

describe("a document's name", () => {
  it.each(["a", "notes/2026/ideas", "Ünïcode 文書", "a b", "...", "a/.b", "é".repeat(127)])("can be %j", (name) => {
    expect(whyNotAName(tidyName(name))).toBeNull();
  });

  it.each(["", "/a", "a/", "a//b", ".", "..", "a/../b", "a\u0000", "a\nb", "é".repeat(128), "\ud800"])(
    "cannot be %j",
    (name) => expect(whyNotAName(name)).not.toBeNull(),
  );

  it("is composed and without outer blanks", () => {
    expect(tidyName("  e\u0301 ")).toBe("é");
  });

  it("is suggested from the date, counting on while taken", () => {
    const taken = new Set(["note-2026-03-07", "note-2026-03-07-2"]);
    expect(suggestName(new Date(2026, 2, 7), (name) => taken.has(name))).toBe("note-2026-03-07-3");
  });
});

describe("addresses", () => {
  const at = addressFrom("https://host.example/team/?x#y");

  it.each(["a", "notes/2026/ideas", "50% off?", "#1", "a b/ü", "文書", "a\\b"])(
    "carry the name %j there and back",
    (name) => {
      expect(at.nameIn(at.page(name))).toBe(name);
      expect(at.page(name)).toMatch(/^https:\/\/host\.example\/team\/d\//);
    },
  );

  it("stay below the mount path", () => {
    expect(at.socket).toBe("wss://host.example/team/ws");
    expect(at.document("a/ü", { format: "html" })).toBe(
      "https://host.example/team/api/v1/documents/a/%C3%BC?format=html",
    );
    expect(at.me).toBe("https://host.example/team/api/v1/me");
    expect(at.signIn({ provider: "p", next: "/team/d/a" })).toBe(
      "https://host.example/team/auth/login?provider=p&next=%2Fteam%2Fd%2Fa",
    );
    expect(at.nameIn("https://host.example/team/")).toBeNull();
    expect(at.nameIn("https://host.example/team/d/")).toBeNull();
    expect(at.nameIn("https://host.example/team/d/%ff")).toBeNull();
  });
});

describe("a file that is downloaded", () => {
  it.each([
    ["attachment; filename=\"_-1.md\"; filename*=UTF-8''%C3%A9-1.md", "é-1.md"],
    ["attachment; filename=\"a.md\"; filename*=UTF-8''a%3B.md; x=1", "a;.md"],
    ["attachment; filename*=UTF-8''%E9", null],
    ["attachment", null],
    [null, null],
  ])("has the name in %j", (header, name) => {
    expect(fileNameIn(header)).toBe(name);
  });
});
