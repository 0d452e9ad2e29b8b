import { ArrowLeft, Columns2, EllipsisVertical, History, Link2, Trash2, UserPen, UserPlus } from "lucide";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { account } from "../account";
import type { Place } from "../address";
import type { Beginning } from "../document/session";
import { DocumentSession } from "../document/session";
import { address } from "../here";
import { splitName } from "../names";
import { rememberRecent } from "../recent";
import { goHome, onPlainClick } from "../router";
import { standing } from "../sharing/sharing";
import { useSharing } from "../sharing/use-sharing";
import { readStored, writeStored } from "../stored";
import { AccountMenu, SignInLinks } from "../ui/account-menu";
import { Icon } from "../ui/icon";
import { IdentityDialog } from "../ui/identity-dialog";
import { lazy } from "../ui/lazy";
import { useMedia } from "../ui/media";
import { Menu, MenuGroup, MenuItem } from "../ui/menu";
import { SaveStatus } from "../ui/save-status";
import { ThemeMenuGroup } from "../ui/theme-menu";
import { Toast, type Message } from "../ui/toast";
import { Who } from "../ui/who";
import { MenuDownloads } from "./downloads";
import { ChooseKind, DeleteDialog, Foreign, RefusalNotice } from "./panels";

const RichEditor = lazy(() => import("../editors/rich/rich-editor"));
const CodeEditor = lazy(() => import("../editors/code/code-editor"));
const Preview = lazy(() => import("../editors/code/preview"));
const HistoryPanel = lazy(() => import("../history/panel"), null);
const SharingDialog = lazy(() => import("../sharing/dialog"), null);

const isFlag = (value: unknown): value is boolean => typeof value === "boolean";

function Body({ session, previewing }: { session: DocumentSession; previewing: boolean }) {
  const [foreign, setForeign] = useState<string | null>(null);
  const shape = session.shape.value;
  const locked = session.readOnly.value !== null || session.refusal.value !== null;
  if (shape.is === "unknown") {
    return session.refusal.value ? null : <div class="sheet waiting" aria-busy="true" />;
  }
  if (shape.is === "empty")
    return locked ? <p class="panel">There is nothing in this document.</p> : <ChooseKind session={session} />;
  if (shape.is === "notebook") return <Foreign session={session} what="This is a notebook." />;
  if (shape.is === "foreign") {
    return (
      <Foreign session={session} what={`This page has no editor for what it holds (${shape.roots.join(", ")}).`} />
    );
  }
  if (foreign !== null) {
    return <Foreign session={session} what={`It holds something this page has no editor for (${foreign}).`} />;
  }
  if (shape.kind === "rich") return <RichEditor session={session} locked={locked} onForeign={setForeign} />;
  const markdown = shape.kind === "markdown";
  return (
    <div class={markdown && previewing ? "split" : "single"}>
      <CodeEditor key={shape.kind} session={session} locked={locked} onForeign={setForeign} markdown={markdown} />
      {markdown && previewing && <Preview text={session.doc.getText("content")} />}
    </div>
  );
}

function OpenDocument({ session }: { session: DocumentSession }) {
  const [dialog, setDialog] = useState<"identity" | "delete" | "share" | null>(null);
  const [previewing, setPreviewing] = useState(() => readStored("preview", isFlag) ?? false);
  const [toast, setToast] = useState<Message | null>(null);
  /** What of the document's past is shown: the list of its versions, or one of them in the text's place. */
  const [past, setPast] = useState<"list" | "version" | null>(null);
  const [sharing, setSharing] = useSharing(session);
  const mayShare = sharing !== null && sharing.sharing !== "off" && sharing.access === "admin";
  const whose = sharing === null ? "" : standing(sharing, account.value.id);
  const historyButton = useRef<HTMLButtonElement>(null);
  const toText = useRef(false);
  const place = useRef(0);
  const narrow = useMedia("(max-width: 48rem)");
  const covered = narrow && past === "list";
  const { folder, leaf } = splitName(session.name);
  const shape = session.shape.value;
  const kind = shape.is === "editable" ? shape.kind : null;
  const save = session.save.value;
  const reachable = save.is === "saved" || save.is === "saving";

  useEffect(() => {
    document.title = `${leaf} · collabd`;
  }, [leaf]);
  useEffect(() => {
    if (shape.is === "editable" || shape.is === "notebook" || shape.is === "foreign")
      rememberRecent(session.place, kind);
  }, [shape.is, kind]);

  // A right that comes back opens nothing by itself.
  useEffect(() => {
    if (!mayShare) setDialog((now) => (now === "share" ? null : now));
  }, [mayShare]);

  const togglePreview = () => {
    writeStored("preview", !previewing);
    setPreviewing(!previewing);
  };

  const copyLink = () => {
    void navigator.clipboard
      .writeText(address.page(session.name, session.place.link))
      .then(() => setToast({ text: "Link copied" }));
  };

  // The text keeps its place while a version of it is shown instead.
  useLayoutEffect(() => {
    if (past !== "version") return;
    scrollTo(0, 0);
    return () => scrollTo(0, place.current);
  }, [past === "version"]);

  // What is hidden takes no focus.
  useLayoutEffect(() => {
    if (past === null && toText.current) document.getElementById("text")?.focus({ preventScroll: true });
    toText.current = false;
  }, [past]);

  const closeHistory = () => {
    setPast(null);
    historyButton.current?.focus();
  };

  const restored = (words: string, undo: (() => Promise<unknown>) | null) => {
    toText.current = true;
    setPast(null);
    if (undo === null) return setToast({ text: words });
    const run = () =>
      void undo().then(
        () => setToast({ text: "Undone" }),
        (error: Error) => setToast({ text: error.message }),
      );
    setToast({ text: words, action: { label: "Undo", run } });
  };

  return (
    <div class="document" data-history={past !== null}>
      <button type="button" class="skip" onClick={() => document.getElementById("text")?.focus()}>
        Skip to the text
      </button>
      <header class="document-bar" inert={covered}>
        <a
          class="icon-button"
          href={address.home}
          aria-label="All documents"
          title="All documents"
          onClick={onPlainClick(goHome)}
        >
          <Icon of={ArrowLeft} size={20} />
        </a>
        <div class="document-title">
          <h1 title={session.name}>
            {folder && <span class="folder">{folder}</span>}
            {leaf}
          </h1>
          <SaveStatus session={session} />
        </div>
        <Who peers={session.peers.value} onEditSelf={() => setDialog("identity")} />
        {kind === "markdown" && (
          <button
            type="button"
            class="icon-button"
            aria-pressed={previewing}
            aria-label="Preview"
            title="Preview"
            onClick={togglePreview}
          >
            <Icon of={Columns2} size={20} />
          </button>
        )}
        <button
          ref={historyButton}
          type="button"
          class="icon-button"
          aria-label="History"
          title="History"
          aria-expanded={past !== null}
          aria-controls="history"
          onClick={() => (past === null ? setPast("list") : closeHistory())}
        >
          <Icon of={History} size={20} />
        </button>
        {mayShare && (
          <button
            type="button"
            class="icon-button with-words share-button"
            aria-label="Share"
            title="Share"
            aria-haspopup="dialog"
            onClick={() => setDialog("share")}
          >
            <Icon of={UserPlus} size={20} />
            <span class="words">Share</span>
          </button>
        )}
        <AccountMenu />
        <Menu label="Document menu" icon={EllipsisVertical}>
          <MenuGroup label={reachable ? "Download as" : "Download (needs the server)"}>
            <MenuDownloads
              place={session.place}
              shape={shape}
              reachable={reachable}
              onProblem={(text) => setToast({ text })}
            />
          </MenuGroup>
          <MenuGroup label={whose || "Document"}>
            {/* Browsers give the clipboard to secure pages only. */}
            {isSecureContext && (
              <MenuItem icon={Link2} onSelect={copyLink}>
                Copy link
              </MenuItem>
            )}
            {mayShare && (
              <MenuItem icon={UserPlus} onSelect={() => setDialog("share")}>
                Share…
              </MenuItem>
            )}
            <MenuItem icon={UserPen} onSelect={() => setDialog("identity")}>
              {account.value.signedIn ? "Your colour…" : "Your name and colour…"}
            </MenuItem>
            <MenuItem icon={Trash2} danger onSelect={() => setDialog("delete")}>
              Delete…
            </MenuItem>
          </MenuGroup>
          <ThemeMenuGroup />
        </Menu>
      </header>
      <main class="document-main">
        {dialog !== "delete" && <RefusalNotice session={session} />}
        {session.readOnly.value !== null && !session.refusal.value && (
          <div class="notice" role="status">
            <p>
              {session.readOnly.value}
              {sharing?.owner && ` It belongs to ${sharing.owner.name || sharing.owner.id}.`}
            </p>
            <SignInLinks />
          </div>
        )}
        <div class="live" hidden={past === "version"} inert={covered}>
          <Body session={session} previewing={previewing} />
        </div>
        {past !== null && (
          <HistoryPanel
            session={session}
            narrow={narrow}
            onViewing={(viewing) => {
              if (viewing && past === "list") place.current = scrollY;
              setPast((now) => now && (viewing ? "version" : "list"));
            }}
            onRestored={restored}
            onClose={closeHistory}
          />
        )}
      </main>
      {dialog === "identity" && <IdentityDialog onClose={() => setDialog(null)} />}
      {dialog === "share" && mayShare && (
        <SharingDialog
          place={session.place}
          sharing={sharing}
          onChanged={setSharing}
          onClose={() => setDialog(null)}
        />
      )}
      {dialog === "delete" && <DeleteDialog session={session} onClose={() => setDialog(null)} />}
      <Toast message={toast} onGone={() => setToast(null)} />
    </div>
  );
}

export function DocumentPage({ place, beginning }: { place: Place; beginning: Beginning }) {
  const session = useMemo(() => new DocumentSession(place, beginning), []);
  useEffect(() => () => session.close(), []);
  return <OpenDocument session={session} />;
}
