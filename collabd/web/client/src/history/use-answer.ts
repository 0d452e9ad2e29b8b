import { useEffect, useState } from "preact/hooks";

export type Answer<T> = { is: "waiting" } | { is: "there"; value: T } | { is: "failed"; problem: string };

/** What the server answers, asked again whenever one of `inputs` changes. */
export function useAnswer<T>(ask: (signal: AbortSignal) => Promise<T>, inputs: unknown[]): Answer<T> {
  const [answer, setAnswer] = useState<{ to: string; answer: Answer<T> } | null>(null);
  const question = JSON.stringify(inputs);
  useEffect(() => {
    const abort = new AbortController();
    const take = (answer: Answer<T>) => {
      if (!abort.signal.aborted) setAnswer({ to: question, answer });
    };
    ask(abort.signal).then(
      (value) => take({ is: "there", value }),
      (error: Error) => take({ is: "failed", problem: error.message }),
    );
    return () => abort.abort();
  }, [question]);
  return answer?.to === question ? answer.answer : { is: "waiting" };
}
