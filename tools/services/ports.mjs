import { once } from "node:events";
import { createServer } from "node:net";

/** Handed out by this process: a port that is free now may be asked for twice before its server listens. @type {Set<number>} */
const given = new Set();
const ATTEMPTS = 100;

/**
 * A port of the loopback address on which nobody listens. Another process may still be faster: a server that cannot
 * listen on it is started again on another.
 * @param {(port: number) => boolean} [fits] a further condition
 * @returns {Promise<number>}
 */
export async function freePort(fits = () => true) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    server.close();
    await once(server, "close");
    if (given.has(port) || !fits(port)) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port of the loopback address was found in ${ATTEMPTS} attempts`);
}
