import { account, accountFrom } from "./account";
import { ask } from "./document/server";
import { address } from "./here";

/** One of this person's sessions, as the server lists them. */
export interface Session {
  id: string;
  provider: string;
  created_at: string;
  agent: string;
  address: string;
  /** Whether it is this browser's. */
  current: boolean;
}

/** Asks the server who this person is. Without an answer it stays what it was. */
export async function lookWhoIAm(): Promise<void> {
  const response = await ask(address.me, { cache: "no-store" }).catch(() => null);
  const told: unknown = await response?.json().catch(() => null);
  if (told) account.value = accountFrom(told);
}

/** Where signing in with a provider begins that ends on this page again. */
export const signInAddress = (provider: string): string =>
  address.signIn({ provider, next: location.pathname + location.search });

/** Ends this browser's session, and goes where the server says: the provider may have to end its own. */
export async function signOut(): Promise<void> {
  const response = await ask(address.signOut, { method: "POST" });
  const { next } = (await response.json()) as { next: string };
  location.assign(next);
}

export async function listSessions(): Promise<Session[]> {
  const response = await ask(address.sessions);
  return ((await response.json()) as { sessions: Session[] }).sessions;
}

export async function endSession(id: string): Promise<void> {
  await ask(address.session(id), { method: "DELETE" });
}
