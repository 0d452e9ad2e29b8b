import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { describe, expect, it } from "vitest";
import { canInflate, unpack } from "./packed";

const text = new TextEncoder().encode("All work and no play makes Jack a dull boy. ".repeat(5000));

async function deflated(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A message that says it inflates to so many bytes, its type read already. */
function saying(size: number, data: Uint8Array): decoding.Decoder {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, size);
  encoding.writeUint8Array(encoder, data);
  return decoding.createDecoder(encoding.toUint8Array(encoder));
}

describe("a compressed message", () => {
  it("comes out as it went in", async () => {
    expect(canInflate()).toBe(true);
    expect(await unpack(saying(text.length, await deflated(text)))).toEqual(text);
  });

  it.each([
    ["inflates to more than it says", text.length - 1, text],
    ["inflates to less than it says", text.length + 1, text],
    ["says that it is huge", 2 ** 40, text],
    ["is a bomb", 1000, new Uint8Array(50_000_000)],
  ])("is refused if it %s", async (_what, size, inside) => {
    await expect(unpack(saying(size, await deflated(inside)))).rejects.toThrow(RangeError);
  });

  it("is refused if it is cut short or rubbish", async () => {
    const data = await deflated(text);
    await expect(unpack(saying(text.length, data.subarray(0, -1)))).rejects.toThrow();
    await expect(unpack(saying(10, new Uint8Array(20).fill(255)))).rejects.toThrow();
    await expect(unpack(decoding.createDecoder(new Uint8Array()))).rejects.toThrow();
  });
});
