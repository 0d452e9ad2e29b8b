import { Schema, type Attrs, type MarkSpec, type NodeSpec } from "prosemirror-model";

/**
 * The names ProseMirror's own basic schema uses, so that other editors and the server's exports read the same
 * document. Containers take any blocks: two people's edits that each made sense can together leave a list item
 * without its first paragraph, and what does not fit the schema would be deleted from the shared document.
 * Attribute values come from other people's clients: they are checked where they become DOM.
 */

const SAFE_LINK = /^(https?:|mailto:|tel:|[^:]*$)/i;
export const isSafeLink = (href: unknown): href is string => typeof href === "string" && SAFE_LINK.test(href.trim());

const EMBEDDED_IMAGE = /^data:image\/(png|jpeg|gif|webp|avif);/i;

const levelOf = (attrs: Attrs): number => Math.min(Math.max(Math.trunc(Number(attrs["level"])) || 1, 1), 6);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

const nodes = {
  doc: { content: "block+" },
  paragraph: { content: "inline*", group: "block", parseDOM: [{ tag: "p" }], toDOM: () => ["p", 0] },
  blockquote: {
    content: "block+",
    group: "block",
    defining: true,
    parseDOM: [{ tag: "blockquote" }],
    toDOM: () => ["blockquote", 0],
  },
  horizontal_rule: { group: "block", parseDOM: [{ tag: "hr" }], toDOM: () => ["div", { class: "rule" }, ["hr"]] },
  heading: {
    attrs: { level: { default: 1 } },
    content: "inline*",
    group: "block",
    defining: true,
    parseDOM: [1, 2, 3, 4, 5, 6].map((level) => ({ tag: `h${level}`, attrs: { level } })),
    toDOM: (node) => [`h${levelOf(node.attrs)}`, 0],
  },
  code_block: {
    content: "text*",
    marks: "",
    group: "block",
    code: true,
    defining: true,
    parseDOM: [{ tag: "pre", preserveWhitespace: "full" }],
    toDOM: () => ["pre", ["code", { spellcheck: "false" }, 0]],
  },
  bullet_list: {
    content: "list_item+",
    group: "block",
    parseDOM: [{ tag: "ul" }],
    toDOM: () => ["ul", 0],
  },
  ordered_list: {
    attrs: { order: { default: 1 } },
    content: "list_item+",
    group: "block",
    parseDOM: [{ tag: "ol", getAttrs: (dom) => ({ order: Number(dom.getAttribute("start") ?? 1) || 1 }) }],
    toDOM: ({ attrs }) =>
      attrs["order"] === 1 ? ["ol", 0] : ["ol", { start: String(Number(attrs["order"]) || 1) }, 0],
  },
  list_item: { content: "block+", defining: true, parseDOM: [{ tag: "li" }], toDOM: () => ["li", 0] },
  text: { group: "inline" },
  image: {
    inline: true,
    attrs: { src: { default: "" }, alt: { default: null }, title: { default: null } },
    group: "inline",
    draggable: true,
    parseDOM: [
      {
        tag: "img[src]",
        getAttrs: (dom) => ({
          src: dom.getAttribute("src"),
          alt: dom.getAttribute("alt"),
          title: dom.getAttribute("title"),
        }),
      },
    ],
    // Pictures from elsewhere are named, not fetched: opening a document tells no third party about it.
    toDOM: ({ attrs }) => {
      const src = textOf(attrs["src"]);
      const alt = textOf(attrs["alt"]);
      return EMBEDDED_IMAGE.test(src)
        ? ["img", { src, alt, title: textOf(attrs["title"]) }]
        : ["span", { class: "image-elsewhere", title: src }, alt || src || "picture"];
    },
  },
  hard_break: {
    inline: true,
    group: "inline",
    selectable: false,
    linebreakReplacement: true,
    parseDOM: [{ tag: "br" }],
    toDOM: () => ["br"],
  },
} satisfies Record<string, NodeSpec>;

const marks = {
  link: {
    attrs: { href: { default: "" }, title: { default: null } },
    inclusive: false,
    parseDOM: [
      {
        tag: "a[href]",
        getAttrs: (dom) => {
          const href = dom.getAttribute("href");
          return isSafeLink(href) ? { href, title: dom.getAttribute("title") } : false;
        },
      },
    ],
    toDOM: ({ attrs }) => {
      const href = attrs["href"] as unknown;
      return isSafeLink(href)
        ? ["a", { href, title: textOf(attrs["title"]) || href, rel: "noopener noreferrer nofollow" }, 0]
        : ["span", { class: "unsafe-link" }, 0];
    },
  },
  em: {
    parseDOM: [{ tag: "i" }, { tag: "em" }, { style: "font-style=italic" }],
    toDOM: () => ["em", 0],
  },
  strong: {
    parseDOM: [
      { tag: "strong" },
      // Some word processors wrap whole pastes in <b style="font-weight: normal">.
      { tag: "b", getAttrs: (dom) => dom.style.fontWeight !== "normal" && null },
      { style: "font-weight=bold" },
      { style: "font-weight", getAttrs: (value) => /^(bold(er)?|[5-9]\d{2,})$/.test(value) && null },
    ],
    toDOM: () => ["strong", 0],
  },
  strike: {
    parseDOM: [{ tag: "s" }, { tag: "del" }, { tag: "strike" }, { style: "text-decoration=line-through" }],
    toDOM: () => ["s", 0],
  },
  code: { code: true, parseDOM: [{ tag: "code" }], toDOM: () => ["code", { spellcheck: "false" }, 0] },
} satisfies Record<string, MarkSpec>;

export const schema = new Schema<keyof typeof nodes, keyof typeof marks>({ nodes, marks });
