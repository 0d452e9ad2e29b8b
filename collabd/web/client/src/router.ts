import { signal } from "@preact/signals";
import type { Beginning } from "./document/session";
import type { Place } from "./address";
import { address } from "./here";
import { rememberedLink } from "./recent";

export type Route = { page: "home" } | { page: "document"; place: Place; beginning: Beginning; visit: number };

let visits = 0;

function routeOf(href: string, beginning: Beginning = {}): Route {
  const name = address.nameIn(href);
  if (name === null) return { page: "home" };
  const link = address.linkIn(href) ?? rememberedLink(name);
  return { page: "document", place: { name, link }, beginning, visit: visits++ };
}

/** Shows what the window's address says. A link that it does not name is added: an address that is copied works. */
function show(beginning?: Beginning): Route {
  const route = routeOf(location.href, beginning);
  if (route.page === "document" && route.place.link !== address.linkIn(location.href)) {
    history.replaceState(null, "", address.page(route.place.name, route.place.link));
  }
  return route;
}

export const route = signal<Route>(show());

addEventListener("popstate", () => (route.value = show()));

function go(href: string, beginning?: Beginning): void {
  history.pushState(null, "", href);
  route.value = show(beginning);
  scrollTo(0, 0);
}

export const goHome = (): void => go(address.home);

/** Opens a document; `beginning` is what it starts with when it is being created. */
export const openDocument = (name: string, beginning?: Beginning): void => go(address.page(name), beginning);

/** Lets a plain click stay in the page, and everything else (new tab, new window) to the browser. */
export function onPlainClick(then: () => void) {
  return (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    then();
  };
}
