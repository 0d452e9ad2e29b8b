import * as decoding from "lib0/decoding";

/** Agreed with the server, it adds message 101: a large sync message, compressed. */
export const MESSAGE_PACKED = 101;

/** Bytes a message may inflate to; the server compresses nothing larger. */
const LARGEST = 64 * 1024 * 1024;

/** Whether this browser can inflate what the server compresses. */
export function canInflate(): boolean {
  try {
    return Boolean(new DecompressionStream("deflate-raw"));
  } catch {
    return false;
  }
}

/**
 * The message inside of one of type 101, whose type has been read; it rejects if that is not what it says. No
 * more is inflated than the size that it tells.
 */
export async function unpack(decoder: decoding.Decoder): Promise<Uint8Array> {
  const size = decoding.readVarUint(decoder);
  if (size > LARGEST) throw new RangeError("the message is too large");
  const message = new Uint8Array(size);
  const packed = new Blob([decoding.readTailAsUint8Array(decoder) as Uint8Array<ArrayBuffer>]);
  const reader = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > size) {
      await reader.cancel();
      throw new RangeError("the message inflates to more than it says");
    }
    message.set(value, filled);
    filled += value.length;
  }
  if (filled !== size) throw new RangeError("the message inflates to less than it says");
  return message;
}
