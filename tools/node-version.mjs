// Imported first by every command. Written so that old releases of Node parse it and say what is missing.
var version = process.versions.node.split(".");
var major = Number(version[0]);
var minor = Number(version[1]);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    "aixgo needs Node.js 20.19 or newer; this is " + process.version + ". Install it from https://nodejs.org and try again.\n",
  );
  process.exit(1);
}
