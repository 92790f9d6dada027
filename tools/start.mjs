// npm start: prepares the workspace if need be, then runs the chat of apps/chat in this process.
import "./node-version.mjs";

void import("./chat.mjs").then(function (chat) {
  return chat.run(process.argv.slice(2));
});
