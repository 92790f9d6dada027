export { asOpenAISession } from "./openai-session.ts";
export type { OpenAISession } from "./openai-session.ts";
export type { HistoryTransaction, HistoryTransactionArgs } from "./transaction.ts";
