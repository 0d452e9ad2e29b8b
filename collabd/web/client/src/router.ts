import { signal } from "@preact/signals";
import type { Beginning } from "./document/session";
import { address } from "./here";

export type Route = { page: "home" } | { page: "document"; name: string; beginning: Beginning; visit: number };

let visits = 0;

function routeOf(href: string, beginning: Beginning = {}): Route {
  const name = address.nameIn(href);
  return name === null ? { page: "home" } : { page: "document", name, beginning, visit: visits++ };
}

export const route = signal<Route>(routeOf(location.href));

addEventListener("popstate", () => (route.value = routeOf(location.href)));

function go(href: string, beginning?: Beginning): void {
  history.pushState(null, "", href);
  route.value = routeOf(href, beginning);
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
