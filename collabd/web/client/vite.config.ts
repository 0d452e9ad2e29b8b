import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

const SERVER = process.env["COLLABD_SERVER"] ?? "http://127.0.0.1:8000";

/** index.html is served for /d/… too; the server writes its mount path into <base>, the dev server does it here. */
const devBase: Plugin = {
  name: "dev-base",
  apply: "serve",
  transformIndexHtml: (html) => html.replace('<base href="./"', '<base href="/"'),
};

/** Tells the service worker which files make up the page, and names its cache after their hashes. */
const offlineShell: Plugin = {
  name: "offline-shell",
  apply: "build",
  enforce: "post",
  generateBundle(_options, bundle) {
    const worker = Object.values(bundle).find((file) => file.type === "chunk" && file.name === "sw");
    if (worker?.type !== "chunk") this.error("the service worker was not built");
    const needed = Object.keys(bundle).filter((name) =>
      /\.(js|css)$/.test(name) ? name !== worker.fileName : /-latin-wght-.*\.woff2$/.test(name),
    );
    const shell = ["./", "theme.js", "favicon.svg", ...needed.sort()];
    const page = bundle["index.html"];
    const version = createHash("sha256")
      .update(shell.join("\n"))
      .update(page?.type === "asset" ? page.source : "")
      .digest("hex")
      .slice(0, 12);
    worker.code = worker.code.replace("__SHELL__", () => JSON.stringify(shell)).replace("__VERSION__", version);
  },
};

export default defineConfig({
  base: "./",
  plugins: [devBase, offlineShell],
  resolve: { dedupe: ["yjs", "lib0", "y-protocols", "@codemirror/state", "@codemirror/view", "prosemirror-model"] },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    license: { fileName: "third-party-notices.md" },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: "index.html", sw: "worker/sw.ts" },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  server: {
    proxy: {
      "/api": { target: SERVER },
      "/auth": { target: SERVER },
      "/ws": { target: SERVER, ws: true },
    },
  },
});
