const MAX_BYTES = 255;

/** A document's name as it would be stored: outer blanks gone, composed (NFC). */
export const tidyName = (typed: string): string => typed.trim().normalize("NFC");

/** Why a tidy name cannot be a document's, in words for the person who typed it; null when it can. */
export function whyNotAName(name: string): string | null {
  if (name === "") return "Give the document a name.";
  if (!name.isWellFormed() || /\p{Cc}/u.test(name)) return "The name holds characters that cannot be stored.";
  if (new TextEncoder().encode(name).length > MAX_BYTES) return "That name is too long.";
  const parts = name.split("/");
  if (parts.includes("")) return "A name cannot start or end with a slash, nor have two in a row.";
  if (parts.some((part) => part === "." || part === "..")) return "“.” and “..” cannot be parts of a name.";
  return null;
}

/** A first suggestion nobody has to think about: today's date, counted on while taken. */
export function suggestName(today: Date, taken: (name: string) => boolean): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const stem = `note-${today.getFullYear()}-${two(today.getMonth() + 1)}-${two(today.getDate())}`;
  let name = stem;
  for (let n = 2; taken(name); n++) name = `${stem}-${n}`;
  return name;
}

/** The folder a name lies in (with its slash, "" at the top) and its last part. */
export function splitName(name: string): { folder: string; leaf: string } {
  const slash = name.lastIndexOf("/");
  return { folder: name.slice(0, slash + 1), leaf: name.slice(slash + 1) };
}

/** The name in a `Content-Disposition` as the server writes it (RFC 6266); null where there is none. */
export function fileNameIn(disposition: string | null): string | null {
  const encoded = disposition?.match(/filename\*=UTF-8''([^;]+)/i)?.[1];
  try {
    return encoded ? decodeURIComponent(encoded) : null;
  } catch {
    return null;
  }
}
