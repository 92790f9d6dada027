export { createScriptedModel } from "./scripted-model.ts";
export type { ScriptedCall, ScriptedModel, ScriptedStep } from "./scripted-model.ts";
