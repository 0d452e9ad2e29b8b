import { describe, expect, it } from "vitest";
import { SaveTracker } from "./save-state";

/** Opened and told everything before: the usual start. */
function saved(): SaveTracker {
  const tracker = new SaveTracker();
  tracker.opened();
  tracker.sent("step2");
  tracker.committed(1);
  return tracker;
}

function type(tracker: SaveTracker): void {
  tracker.changed();
  tracker.sent("update");
}

describe("what is known to be saved", () => {
  it("is not claimed before the server has confirmed the first exchange", () => {
    const tracker = new SaveTracker();
    expect(tracker.state).toEqual({ is: "opening" });
    tracker.opened();
    expect(tracker.state).toEqual({ is: "opening" });
    tracker.sent("step2");
    expect(tracker.state).toEqual({ is: "opening" });
    tracker.committed(1);
    expect(tracker.state).toEqual({ is: "saved" });
  });

  it("follows the count of committed messages", () => {
    const tracker = saved();
    type(tracker);
    type(tracker);
    expect(tracker.state).toEqual({ is: "saving", changes: 2 });
    tracker.committed(2);
    expect(tracker.state).toEqual({ is: "saving", changes: 1 });
    tracker.committed(3);
    expect(tracker.state).toEqual({ is: "saved" });
  });

  it("does not take an update sent before step 2 for what was changed offline", () => {
    const tracker = new SaveTracker(5);
    tracker.opened();
    type(tracker);
    tracker.committed(1);
    expect(tracker.unsafe).toBe(6);
    expect(tracker.state.is).toBe("saving");
    tracker.sent("step2");
    tracker.committed(2);
    expect(tracker.state).toEqual({ is: "saved" });
    expect(tracker.unsafe).toBe(0);
  });

  it("keeps unconfirmed changes across a lost connection and counts anew on the next", () => {
    const tracker = saved();
    type(tracker);
    tracker.closed(false);
    expect(tracker.state).toEqual({ is: "reconnecting", changes: 1 });
    tracker.changed();
    tracker.closed(false);
    expect(tracker.state).toEqual({ is: "offline", changes: 2 });
    tracker.opened();
    expect(tracker.state).toEqual({ is: "saving", changes: 2 });
    tracker.sent("step2");
    expect(tracker.state).toEqual({ is: "saving", changes: 2 });
    tracker.committed(1);
    expect(tracker.state).toEqual({ is: "saved" });
  });

  it("says reconnecting, not saved, while a new connection has confirmed nothing", () => {
    const tracker = saved();
    tracker.closed(false);
    tracker.opened();
    tracker.sent("step2");
    expect(tracker.state).toEqual({ is: "reconnecting", changes: 0 });
  });

  it("says offline when the network is gone though the connection still looks open", () => {
    const tracker = saved();
    type(tracker);
    tracker.stalled();
    expect(tracker.state).toEqual({ is: "offline", changes: 1 });
    tracker.committed(2);
    expect(tracker.state).toEqual({ is: "saved" });
  });

  it("shows what is unsaved even before the first connection", () => {
    const tracker = new SaveTracker();
    tracker.changed();
    expect(tracker.state).toEqual({ is: "reconnecting", changes: 1 });
  });

  it("remembers changes of an earlier visit until they are confirmed", () => {
    const tracker = new SaveTracker(7);
    tracker.closed(false);
    tracker.closed(false);
    expect(tracker.state).toEqual({ is: "offline", changes: 7 });
  });

  it("ends at a final refusal, whatever was confirmed before", () => {
    const tracker = saved();
    type(tracker);
    tracker.closed(true);
    expect(tracker.state).toEqual({ is: "refused", changes: 1 });
  });

  it("never believes in more messages than were sent", () => {
    const tracker = saved();
    tracker.committed(9);
    type(tracker);
    expect(tracker.state).toEqual({ is: "saving", changes: 1 });
  });
});
