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
  4403: "You do not have the right to open this document",
  4404: "There is no such document",
  4406: "This document cannot be shown here",
  4409: "This document was changed in a way that does not fit your copy",
  4410: "This document was deleted",
  4422: "A document cannot have this name",
  4423: "The server could not take one of your changes",
};

/** Said of a document that was open, where that is another matter. */
const ENDED: Record<number, string> = {
  4401: "You are signed out",
  4403: "Your right to this document has ended",
};
const SIGNED_OUT = "Your session has ended, so this document was closed. Sign in again to go on.";
const NO_LINK = "The link does not hold any longer. Whoever shared it can send you another.";

export const SIGN_IN = 4401;
const FORBIDDEN = 4403;
export const DELETED = 4410;
/** The session has ended in which the connection was opened. Coming back tells what is possible without. */
export const EXPIRED = 4501;

/** 44xx is final by convention; sending the same too large message again would only be refused again. */
export const isFinal = (code: number): boolean => (code >= 4400 && code <= 4499) || code === 1009;

/** What the server wrote for people: its close reasons are "code: message". */
export const readReason = (reason: string): string => reason.replace(/^[a-z-]+:\s*/, "");

/** The server's reasons are parts of sentences. */
export const asSentence = (words: string): string =>
  words && words[0]!.toLocaleUpperCase() + words.slice(1) + (/[.…!?]$/.test(words) ? "" : ".");

/** `opened` says whether the document was open before, `linked` whether by a link. */
export function refusalFrom(
  { code, reason }: { code: number; reason: string },
  opened: boolean,
  linked: boolean,
): Refusal {
  // Who came by a link is not signed out when that is taken back.
  const ended = code === SIGN_IN && linked ? FORBIDDEN : code;
  const title = (opened && ENDED[ended]) || TITLES[code] || "The server closed this document";
  if (code === SIGN_IN) return { code, title, detail: linked ? NO_LINK : opened ? SIGNED_OUT : "" };
  return { code, title, detail: asSentence(readReason(reason)) };
}
