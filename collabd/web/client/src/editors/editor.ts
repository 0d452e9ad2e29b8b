import type { DocumentSession } from "../document/session";

/** What the page hands to an editor. Each editor is a module of its own, fetched when it is needed. */
export interface EditorProps {
  session: DocumentSession;
  /** Reading only. */
  locked: boolean;
  /** The document holds something this editor has no word for, and has to be left alone. */
  onForeign: (what: string) => void;
}
