import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { firstForeign, firstForeignIn } from "../editors/rich/foreign";
import { shapeOf } from "./shape";

/** The document as it arrives: roots have no types until somebody names them. */
function received(make: (doc: Y.Doc) => void): Y.Doc {
  const source = new Y.Doc();
  make(source);
  const doc = new Y.Doc();
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(source));
  return doc;
}

const paragraph = (name = "paragraph", text = "words", marks = {}) => {
  const element = new Y.XmlElement(name);
  const words = new Y.XmlText();
  words.insert(0, text, marks);
  element.insert(0, [words]);
  return element;
};

describe("what a document is", () => {
  const cases: [string, string, (doc: Y.Doc) => void, object][] = [
    ["says so", "x", (doc) => doc.getMap("meta").set("kind", "markdown"), { is: "editable", kind: "markdown" }],
    ["holds text", "x", (doc) => doc.getText("content").insert(0, "hi"), { is: "editable", kind: "text" }],
    ["is called .md", "x.md", (doc) => doc.getText("content").insert(0, "hi"), { is: "editable", kind: "markdown" }],
    [
      "holds XML",
      "x",
      (doc) => doc.getXmlFragment("prosemirror").insert(0, [paragraph()]),
      { is: "editable", kind: "rich" },
    ],
    ["holds cells", "x", (doc) => doc.getArray("cells").push([new Y.Map()]), { is: "notebook" }],
    ["holds something else", "x", (doc) => doc.getMap("todo").set("a", 1), { is: "foreign", roots: ["todo"] }],
    ["has a map for content", "x", (doc) => doc.getMap("content").set("a", 1), { is: "foreign", roots: ["content"] }],
    ["has an unknown kind", "x", (doc) => doc.getMap("meta").set("kind", "chart"), { is: "foreign", roots: ["meta"] }],
    ["holds nothing", "x", () => undefined, { is: "empty" }],
  ];

  it.each(cases)("that %s", (_what, name, make, shape) => {
    expect(shapeOf(received(make), name, true)).toEqual(shape);
  });

  it("is not decided while parts may be missing", () => {
    expect(shapeOf(new Y.Doc(), "x", false)).toEqual({ is: "unknown" });
  });
});

describe("what the rich editor has no word for", () => {
  const fragmentOf = (...children: (Y.XmlElement | Y.XmlText)[]) =>
    received((doc) => doc.getXmlFragment("prosemirror").insert(0, children)).getXmlFragment("prosemirror");

  it("is nothing in its own documents", () => {
    const list = new Y.XmlElement("bullet_list");
    const item = new Y.XmlElement("list_item");
    list.insert(0, [item]);
    item.insert(0, [paragraph("paragraph", "bold", { strong: {} })]);
    expect(firstForeign(fragmentOf(paragraph("heading"), list))).toBeNull();
  });

  it.each([
    ["table", paragraph("table")],
    ["underline", paragraph("paragraph", "x", { underline: {} })],
    ["doc", paragraph("doc")],
    ["text outside a paragraph", new Y.XmlText("loose")],
  ])("is named: %s", (what, child) => {
    expect(firstForeign(fragmentOf(paragraph(), child))).toBe(what);
  });

  it("is found in what a transaction brings, before anything observes it", () => {
    const doc = new Y.Doc();
    const fragment = doc.getXmlFragment("prosemirror");
    fragment.insert(0, [paragraph()]);
    const found: (string | null)[] = [];
    doc.on("beforeObserverCalls", (transaction: Y.Transaction) => found.push(firstForeignIn(transaction, fragment)));
    fragment.insert(1, [paragraph()]);
    const quote = new Y.XmlElement("blockquote");
    quote.insert(0, [paragraph("callout")]);
    fragment.insert(0, [quote]);
    (fragment.get(1) as Y.XmlElement).insert(0, [new Y.XmlElement("mention")]);
    doc.getXmlFragment("elsewhere").insert(0, [paragraph("table")]);
    expect(found.filter((what) => what !== null)).toEqual(["callout", "mention"]);
  });
});
