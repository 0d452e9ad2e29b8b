import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { adopted } from "./adopt";

const SERVER = { name: "the connection" };

function writing() {
  const doc = new Y.Doc();
  const text = doc.getText("content");
  const manager = new Y.UndoManager(text);
  const elsewhere = (edit: (text: Y.Text) => void) => {
    const other = new Y.Doc();
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
    edit(other.getText("content"));
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other), SERVER);
  };
  const write = (words: string) => {
    manager.stopCapturing();
    text.insert(text.length, words);
  };
  /** Somebody removes the start, then goes back by an edit of the server. */
  const restored = () =>
    adopted(manager, SERVER, async () => {
      elsewhere((copy) => copy.insert(0, "begin "));
      return 7;
    });
  write("begin ");
  write("end");
  manager.stopCapturing();
  text.delete(0, 6);
  return { text, manager, elsewhere, write, restored };
}

describe("an edit that the server makes for somebody", () => {
  it("is what undo takes back first", async () => {
    const { text, manager, restored } = writing();
    expect((await restored()).seq).toBe(7);
    expect(text.toString()).toBe("begin end");
    manager.undo();
    expect(text.toString()).toBe("end");
    manager.redo();
    expect(text.toString()).toBe("begin end");
  });

  it("can be taken back alone after more was written", async () => {
    const { text, elsewhere, write, restored } = writing();
    const { adopted: edit } = await restored();
    write("!");
    elsewhere((copy) => copy.insert(copy.length, "?"));
    edit!.undo();
    expect(text.toString()).toBe("end!?");
    edit!.undo();
    expect(text.toString()).toBe("end!?");
  });

  it("may arrive after the server's answer", async () => {
    const { text, manager, elsewhere } = writing();
    const waiting = adopted(manager, SERVER, async () => 7);
    await Promise.resolve();
    elsewhere((copy) => copy.insert(0, "begin "));
    await waiting;
    manager.undo();
    expect(text.toString()).toBe("end");
  });

  it("leaves other people's edits alone before and after", async () => {
    const { text, manager, elsewhere, restored } = writing();
    elsewhere((copy) => copy.insert(copy.length, "?"));
    await restored();
    elsewhere((copy) => copy.insert(copy.length, "!"));
    manager.undo();
    expect(text.toString()).toBe("end?!");
  });

  it("is nothing if there was nothing to do", async () => {
    const { manager } = writing();
    const before = manager.undoStack.length;
    expect(await adopted(manager, SERVER, async () => null)).toEqual({ seq: null, adopted: null });
    expect(manager.undoStack).toHaveLength(before);
    expect(manager.trackedOrigins.has(SERVER)).toBe(false);
  });

  it("is left alone when the server refuses it", async () => {
    const { manager } = writing();
    await expect(adopted(manager, SERVER, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(manager.trackedOrigins.has(SERVER)).toBe(false);
  });
});
