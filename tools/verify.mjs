// npm test: all checks and tests of this repository. --fast: without tests and packed packages. --long: with the long variants of tests.
import "./node-version.mjs";

void import("./verification.mjs").then(function (verification) {
  return verification.run(process.argv.slice(2));
});
