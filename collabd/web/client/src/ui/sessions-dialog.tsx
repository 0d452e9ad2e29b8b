import { useEffect, useState } from "preact/hooks";
import { browserName } from "../account";
import { ago } from "../pages/ago";
import { endSession, listSessions, type Session } from "../sign-in";
import { Dialog, DialogEnd, DialogProblem } from "./dialog";

const newestFirst = (one: Session, other: Session): number => other.created_at.localeCompare(one.created_at);

/** Where this person is signed in, and a way to end that from here. */
export function SessionsDialog({ onClose }: { onClose: () => void }) {
  const [sessions, setSessions] = useState<Session[] | null>(null);
  const [problem, setProblem] = useState("");
  const show = (found: Session[]) => setSessions(found.sort(newestFirst));
  const fail = (error: Error) => setProblem(error.message);
  useEffect(() => {
    listSessions().then(show, fail);
  }, []);
  const end = (id: string) => {
    endSession(id).then(listSessions).then(show, fail);
  };
  return (
    <Dialog title="Where you are signed in" onClose={onClose}>
      <ul class="sessions" aria-busy={sessions === null && !problem}>
        {sessions?.map((session) => (
          <li key={session.id}>
            <span class="session-words">
              <strong title={session.agent}>{browserName(session.agent)}</strong>
              <small>
                {session.address}, since{" "}
                <time dateTime={session.created_at}>{ago(Date.parse(session.created_at))}</time>
              </small>
            </span>
            {session.current ? (
              <small>This browser</small>
            ) : (
              <button type="button" class="button" onClick={() => end(session.id)}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      <DialogProblem>{problem}</DialogProblem>
      <DialogEnd first onClose={onClose} />
    </Dialog>
  );
}
