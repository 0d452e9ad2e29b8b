/** A document, and the secret of the link that it is opened by; null where it is opened without one. */
export interface Place {
  name: string;
  link: string | null;
}

/** What a WebSocket's subprotocol may consist of, as which the secret is sent. */
const SECRET = /^[\w.~-]{1,200}$/;

/**
 * Where things are. Everything is resolved against <base>, so that the page works wherever it is mounted.
 * A document's name always stands last in a path; its slashes stay slashes.
 */
export interface Address {
  /** The page that lists the documents. */
  home: string;
  /** The page of one document. The secret of a link stands in its fragment, which browsers send nowhere. */
  page(name: string, link?: string | null): string;
  /** The name in the URL of a document's page, or null where the URL is not one. */
  nameIn(url: string): string | null;
  /** The secret of the link in the URL of a document's page, or null where there is none that could be one. */
  linkIn(url: string): string | null;
  /** What the sync provider puts before `/` and the room. */
  socket: string;
  /** The name as the last part of a path. */
  encode(name: string): string;
  documents(query: Record<string, string>): string;
  document(name: string, query?: Record<string, string>): string;
  /** What the server answers about a document's past. */
  past(what: "history" | "versions" | "diff" | "restore", name: string, query?: Record<string, string>): string;
  /** Who has what rights to a document. */
  shares(name: string): string;
  /** Who one is to the server. */
  me: string;
  signIn(query: Record<string, string>): string;
  signOut: string;
  sessions: string;
  session(id: string): string;
  /** The mount path alone: tells apart what several mounts on one origin keep in the browser. */
  mount: string;
}

export function addressFrom(baseURI: string): Address {
  const base = new URL("./", baseURI);
  const pages = new URL("d/", base);
  const encode = (name: string) => name.split("/").map(encodeURIComponent).join("/");
  const at = (path: string, query: Record<string, string> = {}) => {
    const url = new URL(path, base);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return url.href;
  };
  return {
    home: base.href,
    page: (name, link = null) => at(`d/${encode(name)}`) + (link === null ? "" : `#link=${link}`),
    nameIn: (href) => {
      const url = new URL(href);
      if (!url.pathname.startsWith(pages.pathname)) return null;
      try {
        return decodeURIComponent(url.pathname.slice(pages.pathname.length)).normalize("NFC") || null;
      } catch {
        return null;
      }
    },
    linkIn: (href) => {
      const secret = new URLSearchParams(new URL(href).hash.slice(1)).get("link") ?? "";
      return SECRET.test(secret) ? secret : null;
    },
    socket: new URL("ws", base).href.replace(/^http/, "ws"),
    encode,
    documents: (query) => at("api/v1/documents", query),
    document: (name, query) => at(`api/v1/documents/${encode(name)}`, query),
    past: (what, name, query) => at(`api/v1/${what}/${encode(name)}`, query),
    shares: (name) => at(`api/v1/shares/${encode(name)}`),
    me: at("api/v1/me"),
    signIn: (query) => at("auth/login", query),
    signOut: at("auth/logout"),
    sessions: at("api/v1/sessions"),
    session: (id) => at(`api/v1/sessions/${encodeURIComponent(id)}`),
    mount: base.pathname,
  };
}
