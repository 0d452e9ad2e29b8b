import { useState } from "preact/hooks";
import * as Y from "yjs";
import { createDocument, deleteDocument, findDocument } from "../document/server";
import type { DocumentSession } from "../document/session";
import { KIND_NAMES, KINDS, setKind, type Kind } from "../document/shape";
import { DELETED, SIGN_IN } from "../document/refusal";
import { tidyName, whyNotAName } from "../names";
import { forgetRecent } from "../recent";
import { goHome, openDocument } from "../router";
import { SignInLinks } from "../ui/account-menu";
import { Dialog, DialogEnd, DialogProblem } from "../ui/dialog";
import { DownloadButton, saveFile } from "./downloads";

const hasContent = (doc: Y.Doc): boolean => Y.encodeStateVector(doc).length > 1;

const copyOf = (doc: Y.Doc): Uint8Array<ArrayBuffer> => Y.encodeStateAsUpdate(doc) as Uint8Array<ArrayBuffer>;

/** Leaves the document, and takes it out of this browser. */
async function discard(session: DocumentSession): Promise<void> {
  await session.forget();
  forgetRecent(session.name);
  goHome();
}

function KeepDialog({ session, onClose }: { session: DocumentSession; onClose: () => void }) {
  const [typed, setTyped] = useState(`${session.name} (copy)`);
  const [problem, setProblem] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    const name = tidyName(typed);
    const wrong = whyNotAName(name);
    if (wrong !== null) return setProblem(wrong);
    try {
      if (await findDocument(name)) return setProblem("There is already a document with this name.");
    } catch (error) {
      return setProblem((error as Error).message);
    }
    const content = copyOf(session.doc);
    await session.forget();
    forgetRecent(session.name);
    onClose();
    openDocument(name, { content });
  };
  return (
    <Dialog title="Keep as a new document" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>Name</span>
          <input
            data-autofocus
            type="text"
            value={typed}
            autocomplete="off"
            spellcheck={false}
            aria-describedby="keep-hint"
            onFocus={(event) => event.currentTarget.select()}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <p id="keep-hint" class="hint" data-wrong={problem !== ""} aria-live="polite">
          {problem}
        </p>
        <DialogEnd does="Keep it" onClose={onClose} />
      </form>
    </Dialog>
  );
}

/** The server's last word on this document, and what can still be done with the copy in this browser. */
export function RefusalNotice({ session }: { session: DocumentSession }) {
  const [keeping, setKeeping] = useState(false);
  const [problem, setProblem] = useState("");
  const refusal = session.refusal.value;
  if (!refusal) return null;
  const content = hasContent(session.doc);
  const deleted = refusal.code === DELETED;
  const signedOut = refusal.code === SIGN_IN;

  const createAnew = async () => {
    const fresh = new Y.Doc();
    setKind(fresh, "rich");
    try {
      await createDocument(session.name, copyOf(fresh));
      await session.forget();
      forgetRecent(session.name);
      openDocument(session.name);
    } catch (error) {
      setProblem((error as Error).message);
    }
  };

  return (
    <section class="notice refusal" role="alert" aria-label={refusal.title}>
      <h2>{refusal.title}.</h2>
      {refusal.detail && !deleted && <p>{refusal.detail}</p>}
      {content && (
        <p>
          Your copy below is still in this browser. It can be read, but nothing more is sent
          {signedOut ? " until you are signed in." : "."}
        </p>
      )}
      {problem && <p class="wrong">{problem}</p>}
      <div class="actions">
        {signedOut && <SignInLinks primary />}
        {content && (
          <>
            {!signedOut && (
              <button type="button" class="button primary" onClick={() => setKeeping(true)}>
                Keep as a new document…
              </button>
            )}
            <button
              type="button"
              class="button"
              onClick={() => saveFile(new Blob([copyOf(session.doc)]), `${session.name.replaceAll("/", "-")}.yjs`)}
            >
              Download the copy
            </button>
          </>
        )}
        {deleted && !content && (
          <button type="button" class="button primary" onClick={() => void createAnew()}>
            Create it anew
          </button>
        )}
        <button type="button" class="button" onClick={() => void discard(session)}>
          {content ? "Discard it" : "Back to the documents"}
        </button>
      </div>
      {keeping && <KeepDialog session={session} onClose={() => setKeeping(false)} />}
    </section>
  );
}

/** An empty document opened by its address: what shall it become? */
export function ChooseKind({ session }: { session: DocumentSession }) {
  return (
    <section class="panel">
      <h2>An empty page</h2>
      <p>Nothing has been written under this name yet. What shall it be?</p>
      <div class="actions">
        {KINDS.map((kind: Kind) => (
          <button key={kind} type="button" class="button" onClick={() => session.start(kind)}>
            {KIND_NAMES[kind]}
          </button>
        ))}
      </div>
    </section>
  );
}

/** Content of other programs, which this page can hand out but not edit. */
export function Foreign({ session, what }: { session: DocumentSession; what: string }) {
  const [problem, setProblem] = useState("");
  const download = { place: session.place, onProblem: setProblem };
  return (
    <section class="panel">
      <h2>Made with another program</h2>
      <p>{what} It is left as it is; other programs go on editing it live.</p>
      <div class="actions">
        {session.shape.value.is === "notebook" && (
          <DownloadButton {...download} format="ipynb">
            Download notebook
          </DownloadButton>
        )}
        <DownloadButton {...download} format="json">
          Download JSON
        </DownloadButton>
      </div>
      {problem && <p class="wrong">{problem}</p>}
    </section>
  );
}

export function DeleteDialog({ session, onClose }: { session: DocumentSession; onClose: () => void }) {
  const [problem, setProblem] = useState("");
  const confirm = async () => {
    try {
      await deleteDocument(session.place);
      onClose();
      await discard(session);
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <Dialog title="Delete this document?" onClose={onClose}>
      <p>
        “{session.name}” will be gone for everyone. Those who have it open are told, and may keep their copy under
        another name.
      </p>
      <DialogProblem>{problem}</DialogProblem>
      <DialogEnd does="Delete" danger first onDo={() => void confirm()} onClose={onClose} />
    </Dialog>
  );
}
