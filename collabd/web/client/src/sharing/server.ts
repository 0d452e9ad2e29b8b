import type { Place } from "../address";
import { askAbout, ServerError } from "../document/server";
import { asSentence } from "../document/refusal";
import { address } from "../here";
import { sharingFrom, type Access, type Sharing } from "./sharing";

/** Whom a right is given to, or taken from with `none`. A link that is made anew has another secret. */
export type Change =
  | { who: string; access: Access | "none" }
  | { who: "link"; access: "read" | "write" | "none" };

async function ask(place: Place, init: RequestInit): Promise<Sharing> {
  let told: unknown;
  try {
    told = await (await askAbout(place, address.shares(place.name), init)).json();
  } catch (error) {
    throw error instanceof ServerError ? new Error(asSentence(error.message)) : error;
  }
  const sharing = sharingFrom(told);
  if (sharing === null) throw new Error("The server answered in a way that this page does not know.");
  return sharing;
}

export const readSharing = (place: Place): Promise<Sharing> => ask(place, { cache: "no-store" });

/** Changes who has which right; resolves to what is so then. */
export const changeSharing = (place: Place, change: Change): Promise<Sharing> =>
  ask(place, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(change),
  });
