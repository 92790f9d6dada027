import fc from "fast-check";

/** Each mutant meets the same samples, and as few as fit in the time: a property is noticed to fail, not explained. */
fc.configureGlobal({ seed: 42, endOnFailure: true, interruptAfterTimeLimit: 500, markInterruptAsFailure: false });
