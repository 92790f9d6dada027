import { type AgentContext, isAixgoError, type AixgoError, type Json, type SuspendRequest } from "@aixgo/core";

/** What one call asks of a person, and how that went: a tool that hides it cannot make the call forget it. */
export interface Asking {
  /** The turn waits. */
  suspended: AixgoError | undefined;
  /** It cannot be asked for approval, so the call cannot run. */
  failed: AixgoError | undefined;
  suspend(request: SuspendRequest): Promise<Json>;
  approve(request: SuspendRequest): Promise<Json>;
}

export function createAsking(context: AgentContext): Asking {
  const asking: Asking = {
    suspended: undefined,
    failed: undefined,
    async suspend(request) {
      try {
        return await context.suspend(request);
      } catch (error) {
        if (isAixgoError(error, "TURN_SUSPENDED")) asking.suspended ??= error;
        throw error;
      }
    },
    async approve(request) {
      try {
        return await asking.suspend(request);
      } catch (error) {
        if (isAixgoError(error)) asking.failed = error;
        throw error;
      }
    },
  };
  return asking;
}

/** The question whether a call may run. */
export interface Approving {
  ask(): Promise<Json>;
  /** Whether somebody has answered it, in an earlier attempt. */
  isGiven(): Promise<boolean>;
}

export function askingFor(request: SuspendRequest, asking: Asking, context: AgentContext): Approving {
  return {
    ask: () => asking.approve(request),
    isGiven: async () => context.session !== undefined && (await context.decisionOf(request.requestId)) !== undefined,
  };
}
