// The same packages from CommonJS.
const assert = require("node:assert/strict");
const { textOf } = require("@aixgo/core");
const { createMemoryBackend, createSessionManager } = require("@aixgo/session");
const { fold } = require("@aixgo/session/backend");

assert.equal(typeof fold, "function");
for (const name of ["agents", "security", "session-file", "session-testkit"])
  assert.ok(Object.keys(require(`@aixgo/${name}`)).length > 0, name);

async function main() {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const session = await sessions.create("assistant");
  await session.append("Hi");
  assert.deepEqual((await session.messages()).map(textOf), ["Hi"]);
  await sessions.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
