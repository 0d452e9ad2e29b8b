import { EllipsisVertical, FileText, Hash, Pilcrow, Plus, Search, UserPen, type IconNode } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import { account, signInProblem } from "../account";
import { KIND_NAMES, type Kind } from "../document/shape";
import { address } from "../here";
import { splitName } from "../names";
import { recents } from "../recent";
import { onPlainClick, openDocument } from "../router";
import { AccountMenu } from "../ui/account-menu";
import { Icon } from "../ui/icon";
import { IdentityDialog } from "../ui/identity-dialog";
import { Menu, MenuItem } from "../ui/menu";
import { ThemeMenuGroup } from "../ui/theme-menu";
import { ago } from "./ago";
import { useDocuments } from "./listing";
import { NewDocumentDialog } from "./new-dialog";

const KIND_ICONS: Record<Kind, IconNode> = { rich: Pilcrow, markdown: Hash, text: FileText };

const NOTHING_YET = "Nothing here yet. Make the first one, and send its address to whoever should join.";
const NOTHING_FOR_ALL = "There is nothing that everybody may read. Sign in to see what you may.";

interface RowProps {
  name: string;
  /** The secret of the link that it was opened by. */
  link?: string | null;
  kind: Kind | null;
  when: string;
  at: string;
}

function Row({ name, link = null, kind, when, at }: RowProps) {
  const { folder, leaf } = splitName(name);
  return (
    <li>
      <a class="row" href={address.page(name, link)} onClick={onPlainClick(() => openDocument(name))}>
        <span class="row-icon" title={kind ? KIND_NAMES[kind] : ""}>
          <Icon of={kind ? KIND_ICONS[kind] : FileText} size={17} />
        </span>
        <span class="row-name">
          {folder && <span class="folder">{folder}</span>}
          {leaf}
        </span>
        <time class="row-when" dateTime={at}>
          {when}
        </time>
      </a>
    </li>
  );
}

export function HomePage() {
  const [typed, setTyped] = useState("");
  const [creating, setCreating] = useState(false);
  const [naming, setNaming] = useState(false);
  const [notSignedIn] = useState(() => signInProblem(location.search));
  const field = useRef<HTMLInputElement>(null);
  const search = typed.trim().normalize("NFC");
  const { listed, state, problem, more, showMore } = useDocuments(search);

  useEffect(() => {
    document.title = "collabd";
    // What the server or a provider added is read by now, and not to be kept in bookmarks.
    if (location.search) history.replaceState(null, "", address.home);
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        field.current?.focus();
      } else if (event.key === "n") {
        event.preventDefault();
        setCreating(true);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const wanted = search.toLocaleLowerCase();
  const recent = recents.value.filter((one) => one.name.toLocaleLowerCase().includes(wanted));
  const kinds = new Map(recents.value.map((one) => [one.name, one.kind]));
  const mayMore = account.value.providers.length > 0 && !account.value.signedIn;
  const nothing = state === "ready" && listed.length === 0;

  return (
    <>
      <header class="home-bar">
        <span class="wordmark">
          <img src={new URL("favicon.svg", address.home).href} width="24" height="24" alt="" />
          collabd
        </span>
        <span class="home-tools">
          <AccountMenu />
          <Menu label="Settings" icon={EllipsisVertical}>
            <MenuItem icon={UserPen} onSelect={() => setNaming(true)}>
              {account.value.signedIn ? "Your colour…" : "Your name and colour…"}
            </MenuItem>
            <ThemeMenuGroup />
          </Menu>
        </span>
      </header>
      <main class="home">
        <div class="home-head">
          <h1>Documents</h1>
          <button type="button" class="button primary" title="New document (N)" onClick={() => setCreating(true)}>
            <Icon of={Plus} />
            New document
          </button>
        </div>
        {notSignedIn && !account.value.signedIn && (
          <p class="notice" role="alert">
            {notSignedIn}
          </p>
        )}
        <label class="search">
          <Icon of={Search} />
          <span class="visually-hidden">Search documents</span>
          <input
            ref={field}
            type="search"
            placeholder="Search by name"
            title="Search (/)"
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>

        {recent.length > 0 && (
          <section aria-labelledby="recent">
            <h2 id="recent">Opened recently</h2>
            <ul class="rows">
              {recent.slice(0, search ? 12 : 5).map((one) => (
                <Row
                  key={one.name}
                  name={one.name}
                  link={one.link ?? null}
                  kind={one.kind}
                  when={ago(one.openedAt)}
                  at={new Date(one.openedAt).toISOString()}
                />
              ))}
            </ul>
          </section>
        )}

        <section aria-labelledby="all" aria-busy={state === "loading"}>
          <h2 id="all">{search ? `Names starting with “${search}”` : "All documents"}</h2>
          {state === "failed" && (
            <p class="notice">
              {problem} {recent.length > 0 && "What you opened recently can still be read and written here."}
            </p>
          )}
          {nothing && (
            <p class="nothing">
              {search ? "None." : mayMore ? NOTHING_FOR_ALL : NOTHING_YET}
            </p>
          )}
          <ul class="rows">
            {listed.map((one) => (
              <Row
                key={one.id}
                name={one.name}
                kind={kinds.get(one.name) ?? null}
                when={ago(Date.parse(one.updated_at))}
                at={one.updated_at}
              />
            ))}
          </ul>
          {more && (
            <button type="button" class="button" onClick={showMore}>
              Show more
            </button>
          )}
        </section>
      </main>
      {creating && (
        <NewDocumentDialog
          taken={(name) => listed.some((one) => one.name === name) || kinds.has(name)}
          onClose={() => setCreating(false)}
        />
      )}
      {naming && <IdentityDialog onClose={() => setNaming(false)} />}
    </>
  );
}
