import { useEffect, useState } from "preact/hooks";
import { account } from "../account";
import type { DocumentSession } from "../document/session";
import { readSharing } from "./server";
import type { Sharing } from "./sharing";

/** Whether the server asks anybody who he is: else there is nothing to find out. */
const asksWho = (session: DocumentSession): boolean =>
  account.value.signedIn || account.value.providers.length > 0 || session.place.link !== null;

/** Who has which right to the document, kept up with what the connection tells; null while that is not known. */
export function useSharing(session: DocumentSession): [Sharing | null, (now: Sharing) => void] {
  const [sharing, setSharing] = useState<Sharing | null>(null);
  const rights = session.rights.value;
  const wanted = asksWho(session) && rights > 0;
  const readOnly = session.readOnly.value !== null;
  const over = session.refusal.value !== null;

  useEffect(() => {
    if (!wanted || over) return;
    let outdated = false;
    readSharing(session.place).then(
      (now) => outdated || setSharing(now),
      () => outdated || setSharing(null),
    );
    return () => {
      outdated = true;
    };
  }, [wanted, over, rights, account.value.id]);

  // Nothing tells a connection that it may do more: whoever comes back to the page after asking for it finds out.
  useEffect(() => {
    if (!wanted || over || !readOnly) return;
    const look = () => {
      if (document.visibilityState !== "visible") return;
      readSharing(session.place).then(
        (now) => now.access !== "read" && session.reconnect(),
        () => undefined,
      );
    };
    document.addEventListener("visibilitychange", look);
    addEventListener("focus", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      removeEventListener("focus", look);
    };
  }, [wanted, over, readOnly]);

  return [over ? null : sharing, setSharing];
}
