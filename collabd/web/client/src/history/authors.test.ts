import { expect, it } from "vitest";
import { asUser } from "../document/presence";
import { COLORS } from "../identity";
import { peopleOf } from "./authors";

const author = (name: string) => ({ name, principal: "anonymous", updates: 1 });

it("gives people the colours they have here", () => {
  const peers = [{ ...asUser("Ada", "#123456"), client: 1, self: false }];
  expect(peopleOf([author("Ada")], peers)).toEqual([{ name: "Ada", color: "#123456" }]);
});

it("gives others one of the page's colours, always the same", () => {
  const [bea] = peopleOf([author("Bea")], []);
  expect(COLORS.map(({ value }) => value)).toContain(bea!.color);
  expect(peopleOf([author("Bea")], [])).toEqual([bea]);
});

it.each(["", "  ", "Anonymous"])("calls %j Somebody", (name) =>
  expect(peopleOf([author(name), author("Anonymous")], []).map((one) => one.name)).toEqual(["Somebody"]),
);
