import type { Peer } from "../document/presence";
import { colorFor } from "../identity";
import type { Author } from "./server";

export interface Person {
  name: string;
  color: string;
}

/** What the server calls those who said no name. */
const NAMELESS = "Anonymous";
export const SOMEBODY = "Somebody";

/** Who took part, each name once, in the colours they have now if they are here. */
export function peopleOf(authors: Author[], peers: Peer[]): Person[] {
  const people = new Map<string, Person>();
  for (const author of authors) {
    const said = author.name.trim();
    const name = said === "" || said === NAMELESS ? SOMEBODY : said;
    const here = peers.find((peer) => peer.name === name);
    people.set(name, { name, color: here?.color ?? colorFor(name) });
  }
  return [...people.values()];
}
