import { describe, expect, it } from "vitest";
import { addressFrom } from "./address";

const address = addressFrom("https://example.org/notes/");

describe("a document's address", () => {
  it("carries a link where nobody but the page sees it", () => {
    const url = address.page("a b/c", "Se-cret_1");
    expect(url).toBe("https://example.org/notes/d/a%20b/c#link=Se-cret_1");
    expect(address.nameIn(url)).toBe("a b/c");
    expect(address.linkIn(url)).toBe("Se-cret_1");
    expect(address.linkIn(address.page("a b/c"))).toBeNull();
    expect(address.page("a b/c", null)).toBe(address.page("a b/c"));
  });

  it.each(["", "#", "#link=", "#link", "#other=x", "#link=a%20b", "#link=a,b", "#link=%", `#link=${"x".repeat(201)}`])(
    "holds no link in %j",
    (fragment) => {
      expect(address.linkIn(`https://example.org/notes/d/x${fragment}`)).toBeNull();
    },
  );

  it("is found beside other things in the fragment", () => {
    expect(address.linkIn("https://example.org/notes/d/x#a=1&link=b")).toBe("b");
  });
});
