// npm run build, bench, demo:crash: node tools/run.mjs <task> [arguments]
import "./node-version.mjs";

void import("./tasks.mjs").then(function (tasks) {
  return tasks.run(process.argv.slice(2));
});
