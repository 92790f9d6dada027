import { register } from "node:module";

/** Loaded before a program (`node --import`): from here on our modules are changed as `AIXGO_FAULTS_MUTANT` says. */
register("./hooks.js", import.meta.url, { data: process.env["AIXGO_FAULTS_MUTANT"] });
