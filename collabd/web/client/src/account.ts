import { computed, signal } from "@preact/signals";
import { identity, type Identity } from "./identity";

/** With whom one can sign in. */
export interface Provider {
  name: string;
  /** What people call it. */
  label: string;
}

/** Whom the server takes this person for. */
export interface Account {
  signedIn: boolean;
  /** Empty if the server knows none. */
  id: string;
  name: string;
  /** Null if the server knows none. */
  color: string | null;
  providers: Provider[];
}

/** Also what a server without sign-in says of everybody. */
export const NOBODY: Account = { signedIn: false, id: "", name: "", color: null, providers: [] };

export const account = signal<Account>(NOBODY);

/** Who this person is to others: for the name of somebody who is signed in the server vouches. */
export const self = computed<Identity>(() => {
  const { signedIn, name, color } = account.value;
  if (!signedIn) return identity.value;
  return { name: name || identity.value.name, color: color ?? identity.value.color };
});

const isText = (value: unknown): value is string => typeof value === "string";

function providerFrom(value: unknown): Provider[] {
  const { name, label } = (value ?? {}) as Partial<Provider>;
  return isText(name) ? [{ name, label: isText(label) && label ? label : name }] : [];
}

/** What the server said about this person; nobody where it makes no sense. */
export function accountFrom(told: unknown): Account {
  const { signed_in, id, name, color, providers } = (told ?? {}) as Record<string, unknown>;
  return {
    signedIn: signed_in === true,
    id: signed_in === true && isText(id) ? id : "",
    name: isText(name) ? name : "",
    color: signed_in === true && isText(color) && color ? color : null,
    providers: Array.isArray(providers) ? providers.flatMap(providerFrom) : [],
  };
}

/** Why somebody came back from signing in without it, as the server says in the page's address; empty if not. */
export function signInProblem(search: string): string {
  const code = new URLSearchParams(search).get("sign-in");
  if (code === null) return "";
  if (code === "overloaded") return "The provider does not answer at the moment. Try again in a while.";
  if (code === "too-many") return "Too many sign-ins were begun from your network. Try again in ten minutes.";
  return "You are not signed in: the provider did not agree, or it took too long. Try again.";
}

const BROWSERS: [mark: RegExp, name: string][] = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/(Chrome|Chromium|CriOS)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const SYSTEMS: [mark: RegExp, name: string][] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux/, "Linux"],
];

/** What people call the browser that calls itself so: most claim to be several. */
export function browserName(agent: string): string {
  const find = (table: [RegExp, string][]) => table.find(([mark]) => mark.test(agent))?.[1];
  const browser = find(BROWSERS);
  const system = find(SYSTEMS);
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? (agent.slice(0, 40) || "Unknown browser");
}
