import { address } from "../here";

/** The database that keeps a document in this browser. */
export const cacheName = (name: string): string => `collabd:${address.mount}${name}`;

/** Whether this browser lets the page keep anything (some private windows do not). */
export function canKeep(): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      const probe = indexedDB.open("collabd.probe");
      probe.onsuccess = () => {
        probe.result.close();
        resolve(true);
      };
      probe.onerror = () => resolve(false);
    } catch {
      resolve(false);
    }
  });
}
