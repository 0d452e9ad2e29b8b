/** Who has which right to a document, as the server tells it and as people read it. Pure. */

export const ACCESSES = ["read", "write", "admin"] as const;
export type Access = (typeof ACCESSES)[number];

export const ACCESS_NAMES: Record<Access, string> = { read: "Can view", write: "Can edit", admin: "Full access" };

/** All who sign in, and what they are called. */
export const SIGNED_IN = "signed-in";
export const EVERYONE = "Everyone who signs in here";

export interface Share {
  /** `email:…`, `user:…`, `group:…`, or all who sign in. */
  who: string;
  access: Access;
  /** What people call them; may be empty. */
  name: string;
}

export interface Link {
  access: "read" | "write";
  secret: string;
}

export interface Sharing {
  /** One's own right. */
  access: Access;
  /** Whether rights can be given to people, and whether to whoever has a link. */
  sharing: "off" | "people" | "links";
  owner: { id: string; name: string } | null;
  /** What follows is told to those with full access. */
  shares: Share[];
  link: Link | null;
}

type Loose = Record<string, unknown>;
const isText = (value: unknown): value is string => typeof value === "string";
const isAccess = (value: unknown): value is Access => (ACCESSES as readonly unknown[]).includes(value);
const loose = (value: unknown): Loose => (typeof value === "object" && value !== null ? (value as Loose) : {});

function shareFrom(value: unknown): Share[] {
  const { who, access, name } = loose(value);
  return isText(who) && isAccess(access) ? [{ who, access, name: isText(name) ? name : "" }] : [];
}

function linkFrom(value: unknown): Link | null {
  const { access, secret } = loose(value);
  return (access === "read" || access === "write") && isText(secret) ? { access, secret } : null;
}

/** What the server said of a document's rights; null where it makes no sense. */
export function sharingFrom(told: unknown): Sharing | null {
  const { access, sharing, owner, shares, link } = loose(told);
  if (!isAccess(access) || (sharing !== "off" && sharing !== "people" && sharing !== "links")) return null;
  const { id, name } = loose(owner);
  return {
    access,
    sharing,
    owner: isText(id) ? { id, name: isText(name) ? name : "" } : null,
    shares: Array.isArray(shares) ? shares.flatMap(shareFrom) : [],
    link: linkFrom(link),
  };
}

export const KINDS = ["email", "user", "group"] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_NAMES: Record<Kind, string> = { email: "Person by e-mail", user: "Person by id", group: "Group" };

const WITHOUT: Record<Kind, string> = {
  email: "Whom? Type an e-mail address.",
  user: "Whom? Type the id that the server knows the person by.",
  group: "Whom? Type the name of the group.",
};

/** Whom to share with, from what somebody typed; else why that cannot be. */
export function whoFrom(kind: Kind, typed: string): { who: string } | { wrong: string } {
  const text = typed.trim();
  if (text === "") return { wrong: WITHOUT[kind] };
  if (kind === "email" && !/^[^\s@]+@[^\s@]+$/.test(text)) return { wrong: "That is not an e-mail address." };
  return { who: `${kind}:${text}` };
}

/** What to call those who have a share, and what else there is to say of them. */
export function labelOf({ who, name }: Pick<Share, "who" | "name">): { kind: Kind | null; label: string; detail: string } {
  const colon = who.indexOf(":");
  const kind = KINDS.find((one) => one === who.slice(0, Math.max(colon, 0))) ?? null;
  if (who === SIGNED_IN) return { kind, label: EVERYONE, detail: "" };
  const key = kind ? who.slice(colon + 1) : who;
  if (kind === "group") return { kind, label: name || key, detail: name && name !== key ? `Group ${key}` : "Group" };
  return { kind, label: name || key, detail: name && name !== key ? key : "" };
}

/** Whose document it is and what one may do with it, for those who share it with nobody; empty where nobody owns it. */
export function standing({ sharing, access, owner }: Sharing, self: string): string {
  if (sharing === "off" || owner === null || owner.id === self) return "";
  const right = { read: "you can view it", write: "you can edit it", admin: "you have full access" }[access];
  return `Belongs to ${owner.name || owner.id}; ${right}`;
}
