import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cancellation } from "../src/cancellation.ts";
import { AixgoError } from "../src/errors.ts";
import { createLimiter } from "../src/limiter.ts";
import { createSlot } from "../src/slot.ts";
import { errorOf, settle } from "./support.ts";

describe("limiter", () => {
  it("hands slots out in the order of asking", async () => {
    const limiter = createLimiter(1);
    expect(limiter.acquire()).toBeUndefined();
    const order: number[] = [];
    const waits = [1, 2, 3].map((n) => limiter.acquire()!.then(() => order.push(n)));
    for (const wait of waits) {
      limiter.release();
      await wait;
    }
    expect(order).toEqual([1, 2, 3]);
    limiter.release();
    expect([limiter.active, limiter.waiting]).toEqual([0, 0]);
  });
  it("a cancelled waiter leaves the line and takes no slot", async () => {
    const limiter = createLimiter(1);
    void limiter.acquire();
    const cancellation = new Cancellation();
    const gone = errorOf(limiter.acquire(cancellation) as Promise<void>);
    const next = limiter.acquire();
    cancellation.cancel(new AixgoError("CANCELLED", "enough"));
    expect((await gone).code).toBe("CANCELLED");
    expect(limiter.waiting).toBe(1);
    limiter.release();
    await next;
    expect(limiter.active).toBe(1);
  });
  it("refuses with OVERLOADED beyond its bound", () => {
    const limiter = createLimiter(1, 2);
    void limiter.acquire();
    void limiter.acquire();
    void limiter.acquire();
    expect(() => limiter.acquire()).toThrowError(expect.objectContaining({ code: "OVERLOADED", retryable: true }));
    expect(limiter.waiting).toBe(2);
  });
  it("property: never more than max, and nobody is forgotten", async () => {
    const command = fc.oneof(fc.constant("acquire"), fc.constant("release"), fc.nat({ max: 30 }));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(command, { maxLength: 80 }), async (max, commands) => {
        const limiter = createLimiter(max);
        const line: { readonly cancellation: Cancellation; state: "waiting" | "held" | "gone" }[] = [];
        const model = { held: 0, waiting: [] as typeof line };
        for (const step of commands) {
          if (step === "acquire") {
            const entry: (typeof line)[number] = { cancellation: new Cancellation(), state: "waiting" };
            line.push(entry);
            const wait = limiter.acquire(entry.cancellation);
            if (wait === undefined) {
              entry.state = "held";
              model.held += 1;
            } else {
              model.waiting.push(entry);
              wait.then(
                () => (entry.state = "held"),
                () => (entry.state = "gone"),
              );
            }
          } else if (step === "release") {
            if (model.held === 0) continue;
            limiter.release();
            if (model.waiting.shift() === undefined) model.held -= 1;
          } else {
            const entry = model.waiting[step];
            if (entry === undefined) continue;
            entry.cancellation.cancel(new AixgoError("CANCELLED", "left"));
            model.waiting.splice(step, 1);
          }
          await Promise.resolve();
          expect(limiter.active).toBe(model.held);
          expect(limiter.active).toBeLessThanOrEqual(max);
          expect(limiter.waiting).toBe(model.waiting.length);
        }
        await settle();
        expect(line.filter((entry) => entry.state === "waiting")).toEqual(model.waiting);
      }),
      { numRuns: 200 },
    );
  });
});

describe("slot", () => {
  it("goes back when the last who shares it has ended, and cannot be shared then", () => {
    const limiter = createLimiter(1);
    void limiter.acquire();
    const slot = createSlot(limiter);
    expect(slot.share()).toBe(true);
    slot.end();
    expect(limiter.active).toBe(1);
    slot.end();
    expect(limiter.active).toBe(0);
    expect(slot.share()).toBe(false);
  });
  it("is lent out while a sub-call waits, and regained before those who wait", async () => {
    const limiter = createLimiter(1);
    void limiter.acquire();
    const slot = createSlot(limiter);
    slot.lend();
    expect(limiter.acquire()).toBeUndefined();
    const late = limiter.acquire();
    const back = slot.regain() as Promise<void>;
    limiter.release();
    await back;
    expect(limiter.waiting).toBe(1);
    slot.end();
    await late;
    limiter.release();
    expect(limiter.active).toBe(0);
  });
  it("that ends while it is asked back is given on at once", async () => {
    const limiter = createLimiter(1);
    void limiter.acquire();
    const slot = createSlot(limiter);
    slot.lend();
    void limiter.acquire();
    const back = slot.regain();
    slot.end();
    limiter.release();
    await back;
    expect([limiter.active, limiter.waiting]).toEqual([0, 0]);
  });
});
