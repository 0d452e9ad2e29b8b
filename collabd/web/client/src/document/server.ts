import { self } from "../account";
import type { Place } from "../address";
import { address } from "../here";

/** The server's HTTP interface, as far as the page needs it. */
export interface Listed {
  name: string;
  id: number;
  created_at: string;
  updated_at: string;
  updates: number;
}

export interface Listing {
  documents: Listed[];
  next: string | null;
}

/** A refusal in the server's words (`application/problem+json`), or that it cannot be reached. */
export class ServerError extends Error {
  constructor(
    message: string,
    readonly status: number,
    /** The problem's stable code; empty when no server answered. */
    readonly code = "",
  ) {
    super(message);
  }
}

export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    const headers = new Headers(init.headers);
    // What is changed goes down in history under the name that the others here see.
    if (init.method !== undefined) headers.set("Collabd-Name", encodeURIComponent(self.value.name));
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ServerError("The server cannot be reached.", 0);
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string; code?: string };
  const message = problem.detail ?? problem.title ?? `The server answered ${response.status}.`;
  throw new ServerError(message, response.status, problem.code);
}

/** Asks about a document, with the link that it was opened by. */
export function askAbout({ link }: Place, url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (link !== null) headers.set("Collabd-Link", link);
  return ask(url, { ...init, headers });
}

export async function listDocuments(query: Record<string, string>, signal?: AbortSignal): Promise<Listing> {
  const response = await ask(address.documents(query), signal ? { signal } : {});
  return (await response.json()) as Listing;
}

export async function findDocument(name: string): Promise<Listed | null> {
  const { documents } = await listDocuments({ prefix: name, limit: "1" });
  return documents.find((one) => one.name === name) ?? null;
}

export async function deleteDocument(place: Place): Promise<void> {
  await askAbout(place, address.document(place.name), { method: "DELETE" });
}

/** Creates the document from a Yjs update: the explicit act that also brings a deleted name back. */
export async function createDocument(name: string, update: Uint8Array<ArrayBuffer>): Promise<void> {
  await ask(address.document(name), {
    method: "PUT",
    headers: { "Content-Type": "application/octet-stream" },
    body: update,
  });
}
