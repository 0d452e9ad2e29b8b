/** Small things kept in this browser. A browser that keeps nothing is no error: the page works without. */
export function readStored<T>(key: string, is: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(`collabd.${key}`) ?? "null");
    return is(value) ? value : null;
  } catch {
    return null;
  }
}

export function writeStored(key: string, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(`collabd.${key}`);
    else localStorage.setItem(`collabd.${key}`, JSON.stringify(value));
  } catch {
    // Full or closed: it will be asked for again next time.
  }
}
