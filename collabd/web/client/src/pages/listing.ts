import { useEffect, useState } from "preact/hooks";
import { listDocuments, type Listed } from "../document/server";

const PAGE = 50;
const TYPING_MS = 150;

export interface Documents {
  listed: Listed[];
  state: "loading" | "ready" | "failed";
  problem: string;
  more: boolean;
  showMore: () => void;
}

/** The server's documents whose names start with what is searched for; all of them, page by page, without. */
export function useDocuments(search: string): Documents {
  const [listed, setListed] = useState<Listed[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [state, setState] = useState<Documents["state"]>("loading");
  const [problem, setProblem] = useState("");
  const [after, setAfter] = useState<string | null>(null);

  useEffect(() => setAfter(null), [search]);

  useEffect(() => {
    const abort = new AbortController();
    const query: Record<string, string> = { limit: String(PAGE) };
    if (search) query["prefix"] = search;
    if (after !== null) query["after"] = after;
    const timer = setTimeout(
      () => {
        listDocuments(query, abort.signal).then(
          (page) => {
            setListed((known) => (after === null ? page.documents : [...known, ...page.documents]));
            setNext(page.next);
            setState("ready");
          },
          (error: Error) => {
            if (abort.signal.aborted) return;
            setProblem(error.message);
            setState("failed");
          },
        );
      },
      search && after === null ? TYPING_MS : 0,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [search, after]);

  return { listed, state, problem, more: next !== null, showMore: () => setAfter(next) };
}
