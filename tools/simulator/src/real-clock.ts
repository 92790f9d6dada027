/** What the virtual clock replaces, as it was before: this module is the first to be imported. */
export const realImmediate: typeof setImmediate = setImmediate;
