import MarkdownIt from "markdown-it";
import { useEffect, useRef, useState } from "preact/hooks";
import type * as Y from "yjs";

/** No raw HTML, and links only to where links may lead: what others write stays text. */
const renderer = new MarkdownIt({ html: false, linkify: true, typographer: false });

// Pictures from elsewhere are named, not fetched: reading a document tells no third party about it.
const drawImage = renderer.renderer.rules["image"]!;
renderer.renderer.rules["image"] = (tokens, index, options, env, self) => {
  const token = tokens[index]!;
  const src = String(token.attrGet("src") ?? "");
  if (src.startsWith("data:image/")) return drawImage(tokens, index, options, env, self);
  const escape = renderer.utils.escapeHtml;
  return `<a class="image-elsewhere" href="${escape(src)}" rel="noopener noreferrer">${escape(token.content || src)}</a>`;
};

/** Task lists: `- [x] done`. */
renderer.core.ruler.after("inline", "tasks", ({ tokens }) => {
  tokens.forEach((token, index) => {
    const first = token.children?.[0];
    if (tokens[index - 2]?.type !== "list_item_open" || first?.type !== "text") return;
    first.content = first.content.replace(/^\[( |x)\] /i, (_all, sign: string) => (sign === " " ? "☐ " : "☑ "));
  });
});

const DELAY_MS = 120;

export default function Preview({ text }: { text: Y.Text }) {
  const [html, setHtml] = useState(() => renderer.render(text.toString()));
  const pane = useRef<HTMLElement>(null);
  useEffect(() => {
    let timer = 0;
    const redraw = () => {
      clearTimeout(timer);
      timer = setTimeout(() => setHtml(renderer.render(text.toString())), DELAY_MS);
    };
    redraw();
    text.observe(redraw);
    return () => {
      clearTimeout(timer);
      text.unobserve(redraw);
    };
  }, [text]);
  useEffect(() => {
    const follow = () => {
      const { scrollHeight, clientHeight } = document.documentElement;
      const place = scrollY / Math.max(scrollHeight - clientHeight, 1);
      const own = pane.current!;
      own.scrollTop = place * (own.scrollHeight - own.clientHeight);
    };
    addEventListener("scroll", follow, { passive: true });
    return () => removeEventListener("scroll", follow);
  }, []);
  return (
    <section
      ref={pane}
      class="sheet preview prose"
      aria-label="Preview"
      tabIndex={0}
      onClick={(event) => {
        const link = (event.target as Element).closest("a[href]");
        if (!link) return;
        event.preventDefault();
        open(link.getAttribute("href")!, "_blank", "noopener,noreferrer");
      }}
      dangerouslySetInnerHTML={{ __html: html }}
    />
  );
}
