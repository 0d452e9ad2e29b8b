/** Why the server will not go on with this document. No reconnecting follows. */
export interface Refusal {
  code: number;
  title: string;
  detail: string;
}

const TITLES: Record<number, string> = {
  1009: "This change is too large for the server",
  4400: "The server could not read what this page sent",
  4401: "You need to sign in to open this document",
  4403: "You do not have the right to do this",
  4404: "There is no such document",
  4406: "This document cannot be shown here",
  4409: "This document was changed in a way that does not fit your copy",
  4410: "This document was deleted",
  4422: "A document cannot have this name",
  4423: "The server could not take one of your changes",
};

export const DELETED = 4410;

/** 44xx is final by convention; sending the same too large message again would only be refused again. */
export const isFinal = (code: number): boolean => (code >= 4400 && code <= 4499) || code === 1009;

/** What the server wrote for people: its close reasons are "code: message". */
export const readReason = (reason: string): string => reason.replace(/^[a-z-]+:\s*/, "");

export function refusalFrom(code: number, reason: string): Refusal {
  return { code, title: TITLES[code] ?? "The server closed this document", detail: readReason(reason) };
}
