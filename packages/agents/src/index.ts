export { createReActAgent } from "./react-agent.ts";
export { REACT_AGENT_DEFAULTS } from "./options.ts";
export type { ReActAgentOptions } from "./options.ts";
export { tool } from "./tool.ts";
export type { StandardInput, Tool, ToolContext } from "./tool.ts";
export { estimateTokens } from "./history.ts";
export type { HistoryBudget } from "./history.ts";
export type { LanguageModel, ModelSettings } from "./model.ts";
