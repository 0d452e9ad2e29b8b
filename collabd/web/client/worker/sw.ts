/**
 * Keeps the page (not the documents: those are in IndexedDB) so that it opens while the server is away.
 * The build writes the list of files and a version made from their hashes into the two words below.
 */
export {};

declare const self: ServiceWorkerGlobalScope;
declare const __SHELL__: string[];

const CACHE = "collabd-__VERSION__";
const SCOPE = new URL(self.registration.scope);
const PATIENCE_MS = 4000;

const isOurs = (key: string): boolean => key.startsWith("collabd-");

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(__SHELL__.map((path) => new URL(path, SCOPE).href)))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((keys) => Promise.all(keys.filter((key) => isOurs(key) && key !== CACHE).map((key) => caches.delete(key))))
      .then(() => self.clients.claim()),
  );
});

/** The kept page. It may be shown at any depth below the scope, and finds its files by its <base>. */
async function kept(): Promise<Response | undefined> {
  const cached = await caches.match(SCOPE.href);
  const html = (await cached?.text())?.replace(/<base href="[^"]*"/, `<base href="${SCOPE.pathname}"`);
  return cached && new Response(html, { headers: cached.headers });
}

/** The page from the server; the kept one when the server is away, or too slow to wait for. */
async function page(request: Request): Promise<Response> {
  const fallback = await kept();
  try {
    const response = await fetch(request, fallback ? { signal: AbortSignal.timeout(PATIENCE_MS) } : {});
    return response.status >= 500 && fallback ? fallback : response;
  } catch (error) {
    if (fallback) return fallback;
    throw error;
  }
}

async function asset(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE.href)) return;
  const path = url.pathname.slice(SCOPE.pathname.length);
  if (request.mode === "navigate" && (path === "" || path.startsWith("d/"))) event.respondWith(page(request));
  else if (path.startsWith("assets/") || path === "theme.js" || path === "favicon.svg")
    event.respondWith(asset(request));
});
