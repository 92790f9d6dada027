// npm run bench:docs
import { writeDocument } from "./document/write.ts";

await writeDocument();
