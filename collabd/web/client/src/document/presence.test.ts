import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { cleanAwareness, cleanState, initials, peersFrom } from "./presence";

const position = { type: null, tname: "content", item: null, assoc: 0 };

describe("other people's presence", () => {
  it("passes what an honest client says", () => {
    const user = { name: "Ada", color: "#1b61b4" };
    expect(cleanState({ user, cursor: { anchor: position, head: position } })).toEqual({
      user: { ...user, colorLight: "#1b61b433" },
      cursor: { anchor: position, head: position },
    });
  });

  it.each(["red", "#12345", "#123456;background:url(//x)", 7, null, undefined])("replaces the colour %j", (color) => {
    const state = cleanState({ user: { name: "Eve", color } }) as { user: { color: string } };
    expect(state.user.color).toMatch(/^#[0-9a-f]{6}$/);
  });

  it.each([
    [{}],
    [{ anchor: position }],
    [{ anchor: null, head: null }],
    [{ anchor: { type: null, tname: null, item: null }, head: position }],
    [{ anchor: { item: { client: "1", clock: 0 } }, head: position }],
    [{ anchor: { tname: "another root" }, head: position }],
    ["cursor"],
  ])("drops the cursor %j, which the editors' bindings would throw on", (cursor) => {
    expect(cleanState({ cursor })).toMatchObject({ cursor: null });
  });

  it.each([[null], [[]], ["x"], [3]])("takes %j for nobody", (state) => {
    expect(cleanState(state)).toBeNull();
  });

  it("cleans a whole awareness message", () => {
    const sender = new Awareness(new Y.Doc());
    const receiver = new Awareness(new Y.Doc());
    sender.setLocalState({ user: { name: "  Bo  ", color: "url(x)" }, cursor: 1, junk: "x" });
    applyAwarenessUpdate(receiver, cleanAwareness(encodeAwarenessUpdate(sender, [sender.clientID])), null);
    const seen = receiver.getStates().get(sender.clientID) as { user: { name: string } };
    expect(Object.keys(seen)).toEqual(["user", "cursor"]);
    expect(seen.user.name).toBe("Bo");
    sender.destroy();
    receiver.destroy();
  });
});

describe("who is here", () => {
  it("lists oneself first, then by name, and nobody without a name", () => {
    const user = (name: string) => ({ user: { name, color: "#000000", colorLight: "" } });
    const states = new Map<number, Record<string, unknown>>([
      [3, user("Zoe")],
      [1, user("Bo")],
      [2, user("Ada")],
      [4, {}],
    ]);
    expect(peersFrom(states, 3).map(({ name }) => name)).toEqual(["Zoe", "Ada", "Bo"]);
  });

  it.each([
    ["Ada Lovelace", "AL"],
    ["bo", "B"],
    ["  ", "?"],
    ["王 小明", "王小"],
    ["👩‍🚀 x", "👩X"],
  ])("shortens %j to %j", (name, short) => expect(initials(name)).toBe(short));
});
