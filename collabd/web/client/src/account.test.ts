import { beforeEach, describe, expect, it } from "vitest";
import { account, accountFrom, browserName, NOBODY, self, signInProblem } from "./account";
import { identity } from "./identity";

describe("what the server says of a person", () => {
  it("is taken as far as it makes sense", () => {
    const providers = [{ name: "a", label: "A Inc." }, { name: "b", label: "" }, { label: "c" }, null];
    expect(accountFrom({ signed_in: true, id: "a:1", name: "Ada", color: null, providers })).toEqual({
      signedIn: true,
      id: "a:1",
      name: "Ada",
      color: null,
      providers: [
        { name: "a", label: "A Inc." },
        { name: "b", label: "b" },
      ],
    });
  });

  it.each([null, "x", 1, {}, { signed_in: "yes", name: 1, color: {}, providers: "x" }])("is nothing in %j", (told) => {
    expect(accountFrom(told)).toEqual(NOBODY);
  });
});

describe("who one is to others", () => {
  beforeEach(() => {
    identity.value = { name: "Quiet Heron", color: "#b3261e" };
    account.value = NOBODY;
  });

  it("is one's own choice without sign-in", () => {
    expect(self.value).toEqual({ name: "Quiet Heron", color: "#b3261e" });
  });

  it("is the name that the server knows, in the colour one chose", () => {
    account.value = { ...NOBODY, signedIn: true, name: "Ada" };
    expect(self.value).toEqual({ name: "Ada", color: "#b3261e" });
    account.value = { ...account.value, color: "#00686c" };
    expect(self.value.color).toBe("#00686c");
  });
});

describe("a sign-in that failed", () => {
  it.each([
    ["", ""],
    ["?state=x", ""],
    ["?sign-in=overloaded", "does not answer"],
    ["?sign-in=too-many", "in ten minutes"],
    ["?sign-in=sign-in", "did not agree"],
    ["?sign-in=%3Cb%3E", "did not agree"],
  ])("is told from %j", (search, words) => {
    expect(signInProblem(search)).toContain(words);
    expect(signInProblem(search) === "").toBe(words === "");
  });
});

describe("browsers", () => {
  const mozilla = "Mozilla/5.0";
  it.each([
    [`${mozilla} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`, "Firefox on Linux"],
    [`${mozilla} (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0`, "Edge on Windows"],
    [`${mozilla} (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36`, "Chrome on Android"],
    [`${mozilla} (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1`, "Safari on iOS"],
    [`${mozilla} (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15`, "Safari on macOS"],
    [`${mozilla} (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36`, "Chrome on Linux"],
    ["curl/8.0", "curl/8.0"],
    ["", "Unknown browser"],
  ])("that call themselves %j are called something shorter", (agent, name) => {
    expect(browserName(agent)).toBe(name);
  });
});
