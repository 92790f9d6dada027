/**
 * What was meant by `npm start --user ada`: without a `--` before them npm takes options for its own, and only `ada` arrives.
 * Answers the words to write behind `npm start --`, or undefined if nothing was swallowed.
 * @param {readonly string[]} options names without dashes @param {readonly string[]} args @param {NodeJS.ProcessEnv} env @returns {string | undefined}
 */
export function swallowedFlags(options, args, env) {
  if (env["npm_lifecycle_event"] === undefined) return undefined;
  const rest = [...args];
  const meant = options.flatMap((option) => {
    const value = env[`npm_config_${option.replaceAll("-", "_")}`];
    if (value === undefined) return [];
    // `--user ada` leaves "true" and a stray word, `--user=ada` leaves the value.
    const said = value === "true" && rest[0] !== undefined && !rest[0].startsWith("-") ? /** @type {string} */ (rest.shift()) : value;
    return said === "true" ? [`--${option}`, "…"] : [`--${option}`, quoted(said)];
  });
  return meant.length === 0 ? undefined : [...meant, ...rest.map(quoted)].join(" ");
}

/** @param {string} word */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word);
}
