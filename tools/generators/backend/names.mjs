const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const DIRECTORY = /^(packages|apps)\/([a-z][a-z0-9]*(?:-[a-z0-9]+)*)$/;
const MAX_LENGTH = 40;

/**
 * @typedef {object} Names
 * @property {string} name `my-store`
 * @property {string} Name `MyStore`
 * @property {string} NAME `MY_STORE`
 * @property {string} directory `packages/session-my-store`
 * @property {string} project last part of the directory
 * @property {string} package name of the package
 */

/**
 * All names that follow from the options; throws one line if they cannot be used.
 * @param {{ name?: unknown, directory?: unknown }} options @returns {Names}
 */
export function namesOf({ name, directory }) {
  if (directory !== undefined && typeof directory !== "string") throw new Error("--directory: a folder is due, such as packages/my-store");
  if (typeof name !== "string" || !NAME.test(name) || name.length > MAX_LENGTH)
    throw new Error(
      `${JSON.stringify(name) ?? "nothing"} is no name of a store: lower case letters, digits and single dashes, at most ${MAX_LENGTH}, such as my-store`,
    );
  if (name.startsWith("session-"))
    throw new Error(`"${name}": leave out "session-", the package is named session-${name.slice("session-".length)} by itself`);
  const folder = directory === undefined ? `packages/session-${name}` : directory.replace(/^\.\//, "").replace(/\/$/, "");
  const [, parent, project] = DIRECTORY.exec(folder) ?? [];
  if (parent === undefined || project === undefined)
    throw new Error(
      `--directory ${JSON.stringify(directory)}: packages/<name> or apps/<name> is due, for only these belong to the workspace`,
    );
  return {
    name,
    Name: name.replaceAll(/(?:^|-)([a-z0-9])/g, (_, first) => first.toUpperCase()),
    NAME: name.replaceAll("-", "_").toUpperCase(),
    directory: folder,
    project,
    package: `${parent === "apps" ? "@aixgo-apps" : "@aixgo"}/${project}`,
  };
}
