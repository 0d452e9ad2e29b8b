import { describe, expect, it } from "vitest";
import { labelOf, sharingFrom, standing, whoFrom, type Sharing } from "./sharing";

const SHARING: Sharing = {
  access: "write",
  sharing: "links",
  owner: { id: "example:1", name: "Ada" },
  shares: [],
  link: null,
};

describe("what the server says of a document's rights", () => {
  it("is taken as far as it makes sense", () => {
    const told = {
      access: "admin",
      sharing: "people",
      owner: { id: "example:1" },
      shares: [
        { who: "email:bob@example.org", access: "write", name: "", added_by: "example:1" },
        { who: "group:staff", access: "owner" },
        { access: "read" },
        null,
      ],
      link: { access: "admin", secret: "x" },
    };
    expect(sharingFrom(told)).toEqual({
      access: "admin",
      sharing: "people",
      owner: { id: "example:1", name: "" },
      shares: [{ who: "email:bob@example.org", access: "write", name: "" }],
      link: null,
    });
    expect(sharingFrom({ ...told, link: { access: "read", secret: "x" } })?.link).toEqual({
      access: "read",
      secret: "x",
    });
  });

  it("is little for those who may not change it", () => {
    expect(sharingFrom({ access: "read", sharing: "off", owner: null })).toEqual({
      access: "read",
      sharing: "off",
      owner: null,
      shares: [],
      link: null,
    });
  });

  it.each([null, "x", [], {}, { access: "none", sharing: "off" }, { access: "read", sharing: "on" }])(
    "is nothing in %j",
    (told) => {
      expect(sharingFrom(told)).toBeNull();
    },
  );
});

describe("whom to share with", () => {
  it("is what was typed, as what it is", () => {
    expect(whoFrom("email", " bob@example.org ")).toEqual({ who: "email:bob@example.org" });
    expect(whoFrom("user", "example:0815")).toEqual({ who: "user:example:0815" });
    expect(whoFrom("group", "the staff")).toEqual({ who: "group:the staff" });
  });

  it.each(["bob", "bob@", "@example.org", "bob@a@b", "bob smith@example.org"])("cannot be written to at %j", (typed) => {
    expect(whoFrom("email", typed)).toEqual({ wrong: "That is not an e-mail address." });
  });

  it.each(["email", "user", "group"] as const)("has to be said, as %s too", (kind) => {
    expect(whoFrom(kind, "  ")).toEqual({ wrong: expect.stringMatching(/^Whom\?/) });
  });
});

describe("those who have a share", () => {
  it.each([
    ["email:bob@example.org", "", "bob@example.org", ""],
    ["email:bob@example.org", "Bob", "Bob", "bob@example.org"],
    ["user:example:1", "", "example:1", ""],
    ["user:example:1", "Ada", "Ada", "example:1"],
    ["group:staff", "", "staff", "Group"],
    ["group:7f1", "Staff", "Staff", "Group 7f1"],
    ["signed-in", "", "Everyone who signs in here", ""],
    ["robot:1", "", "robot:1", ""],
  ])("of %j and %j are called %j", (who, name, label, detail) => {
    expect(labelOf({ who, name })).toMatchObject({ label, detail });
  });
});

describe("whose a document is", () => {
  it("is told to others than the owner", () => {
    expect(standing(SHARING, "example:2")).toBe("Belongs to Ada; you can edit it");
    expect(standing({ ...SHARING, owner: { id: "example:1", name: "" }, access: "read" }, "")).toBe(
      "Belongs to example:1; you can view it",
    );
    expect(standing(SHARING, "example:1")).toBe("");
  });

  it("is not told where nobody owns it, or nothing is shared", () => {
    expect(standing({ ...SHARING, owner: null }, "")).toBe("");
    expect(standing({ ...SHARING, sharing: "off" }, "")).toBe("");
  });
});
