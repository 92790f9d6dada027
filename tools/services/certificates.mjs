import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/**
 * A certificate for a server of this name, by an authority of its own.
 * @param {string} folder @param {string} name
 */
export async function makeCertificates(folder, name) {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o700);
  const path = (/** @type {string} */ file) => join(folder, file);
  const openssl = (/** @type {string[]} */ ...args) => promisify(execFile)("openssl", args, { timeout: 60_000 });
  const key = (/** @type {string} */ file) => [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    path(file),
  ];
  await openssl("req", "-x509", "-days", "2", ...key("ca.key"), "-out", path("ca.crt"), "-subj", "/CN=Test CA");
  await openssl("req", "-new", ...key("server.key"), "-out", path("server.csr"), "-subj", `/CN=${name}`);
  writeFileSync(path("server.ext"), `subjectAltName=DNS:${name}\nextendedKeyUsage=serverAuth\n`);
  await openssl(
    "x509",
    "-req",
    "-days",
    "2",
    "-in",
    path("server.csr"),
    "-CA",
    path("ca.crt"),
    "-CAkey",
    path("ca.key"),
    "-CAcreateserial",
    "-out",
    path("server.crt"),
    "-extfile",
    path("server.ext"),
  );
  return { ca: path("ca.crt"), cert: path("server.crt"), key: path("server.key") };
}
