import { ArrowLeft, Columns2, Download, EllipsisVertical, Link2, Trash2, UserPen } from "lucide";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Beginning } from "../document/session";
import { DocumentSession } from "../document/session";
import type { Kind, Shape } from "../document/shape";
import { address } from "../here";
import { splitName } from "../names";
import { rememberRecent } from "../recent";
import { goHome, onPlainClick } from "../router";
import { readStored, writeStored } from "../stored";
import { Icon } from "../ui/icon";
import { IdentityDialog } from "../ui/identity-dialog";
import { lazy } from "../ui/lazy";
import { Menu, MenuDownload, MenuGroup, MenuItem } from "../ui/menu";
import { SaveStatus } from "../ui/save-status";
import { ThemeMenuGroup } from "../ui/theme-menu";
import { Who } from "../ui/who";
import { ChooseKind, DeleteDialog, Foreign, RefusalNotice } from "./panels";

const RichEditor = lazy(() => import("../editors/rich/rich-editor"));
const CodeEditor = lazy(() => import("../editors/code/code-editor"));
const Preview = lazy(() => import("../editors/code/preview"));

const EXPORTS: Record<Kind | "notebook" | "other", [format: string, label: string][]> = {
  rich: [
    ["markdown", "Markdown"],
    ["html", "HTML"],
    ["text", "Plain text"],
    ["json", "JSON"],
    ["update", "Yjs update"],
  ],
  markdown: [
    ["markdown", "Markdown"],
    ["html", "HTML"],
    ["text", "Plain text"],
    ["json", "JSON"],
    ["update", "Yjs update"],
  ],
  text: [
    ["text", "Plain text"],
    ["markdown", "Markdown"],
    ["html", "HTML"],
    ["json", "JSON"],
    ["update", "Yjs update"],
  ],
  notebook: [
    ["ipynb", "Notebook"],
    ["markdown", "Markdown"],
    ["html", "HTML"],
    ["json", "JSON"],
    ["update", "Yjs update"],
  ],
  other: [
    ["json", "JSON"],
    ["update", "Yjs update"],
  ],
};

const exportsOf = (shape: Shape) =>
  EXPORTS[shape.is === "editable" ? shape.kind : shape.is === "notebook" ? "notebook" : "other"];

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
  const [dialog, setDialog] = useState<"identity" | "delete" | null>(null);
  const [previewing, setPreviewing] = useState(() => readStored("preview", isFlag) ?? false);
  const [copied, setCopied] = useState(false);
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
      rememberRecent(session.name, kind);
  }, [shape.is, kind]);

  const togglePreview = () => {
    writeStored("preview", !previewing);
    setPreviewing(!previewing);
  };

  const copyLink = () => {
    void navigator.clipboard.writeText(address.page(session.name)).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    });
  };

  return (
    <div class="document">
      <button type="button" class="skip" onClick={() => document.getElementById("text")?.focus()}>
        Skip to the text
      </button>
      <header class="document-bar">
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
        <Menu label="Document menu" icon={EllipsisVertical}>
          <MenuGroup label={reachable ? "Download as" : "Download (needs the server)"}>
            {exportsOf(shape).map(([format, label]) => (
              <MenuDownload
                key={format}
                icon={Download}
                disabled={!reachable}
                href={address.document(session.name, { format, download: "1" })}
              >
                {label}
              </MenuDownload>
            ))}
          </MenuGroup>
          <MenuGroup label="Document">
            {/* Browsers give the clipboard to secure pages only. */}
            {isSecureContext && (
              <MenuItem icon={Link2} onSelect={copyLink}>
                Copy link
              </MenuItem>
            )}
            <MenuItem icon={UserPen} onSelect={() => setDialog("identity")}>
              Your name and colour…
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
          <p class="notice" role="status">
            {session.readOnly.value}
          </p>
        )}
        <Body session={session} previewing={previewing} />
      </main>
      {dialog === "identity" && <IdentityDialog onClose={() => setDialog(null)} />}
      {dialog === "delete" && <DeleteDialog session={session} onClose={() => setDialog(null)} />}
      <p class="toast" role="status" data-shown={copied}>
        {copied && "Link copied"}
      </p>
    </div>
  );
}

export function DocumentPage({ name, beginning }: { name: string; beginning: Beginning }) {
  const session = useMemo(() => new DocumentSession(name, beginning), []);
  useEffect(() => () => session.close(), []);
  return <OpenDocument session={session} />;
}
