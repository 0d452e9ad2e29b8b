import { useEffect, useRef, useState } from "preact/hooks";
import { ServerError } from "../document/server";
import type { DocumentSession } from "../document/session";
import { readTimeline } from "./server";
import { withName, withNewest, withOlder, type Known } from "./timeline";

const PAGE = 30;

/** How long after somebody's edit the newest changes are read again. */
const REREAD_MS = 1500;

export interface TimelineState {
  known: Known | null;
  state: "loading" | "ready" | "failed";
  problem: string;
  showOlder: () => void;
  read: () => void;
  rename: (seq: number, name: string | null) => void;
}

/** Nothing was ever written under this name: a short history, but no failure. */
const isUnwritten = (error: Error): boolean => error instanceof ServerError && error.code === "no-such-document";

/** A document's changes, newest first, which go on while people write. */
export function useTimeline(session: DocumentSession): TimelineState {
  const [known, setKnown] = useState<Known | null>(null);
  const [state, setState] = useState<TimelineState["state"]>("loading");
  const [problem, setProblem] = useState("");
  const abort = useRef<AbortController | null>(null);

  const ask = (query: Record<string, string>, merge: typeof withNewest) => {
    abort.current?.abort();
    const { signal } = (abort.current = new AbortController());
    setState("loading");
    readTimeline(session.place, { limit: String(PAGE), ...query }, signal)
      .catch((error: Error) => {
        if (isUnwritten(error)) return { head: 0, changes: [], next: null };
        throw error;
      })
      .then(
        (page) => {
          if (signal.aborted) return;
          setKnown((before) => merge(before, page));
          setState("ready");
        },
        (error: Error) => {
          if (signal.aborted) return;
          setProblem(error.message);
          setState("failed");
        },
      );
  };
  const read = () => ask({}, withNewest);
  const showOlder = () => {
    if (known?.next != null) ask({ before: String(known.next) }, (before, page) => withOlder(before ?? known, page));
  };

  useEffect(() => {
    let timer = 0;
    const reread = () => {
      timer ||= setTimeout(() => {
        timer = 0;
        read();
      }, REREAD_MS);
    };
    read();
    session.doc.on("update", reread);
    return () => {
      clearTimeout(timer);
      abort.current?.abort();
      session.doc.off("update", reread);
    };
  }, [session]);

  // What failed while the server was away is tried again once it is back.
  const isBack = session.save.value.is === "saved";
  useEffect(() => {
    if (isBack && state === "failed") read();
  }, [isBack]);

  return {
    known,
    state,
    problem,
    showOlder,
    read,
    rename: (seq, name) => setKnown((before) => before && withName(before, seq, name)),
  };
}
