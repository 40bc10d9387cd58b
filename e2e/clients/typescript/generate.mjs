// Generates a TypeScript client from the contract document: node generate.mjs CONTRACT.
// Every request and every answer goes through validators generated from the same document.

import { createClient } from "@hey-api/openapi-ts";

await createClient({
  input: process.argv[2],
  output: "src/client",
  logs: { level: "warn" },
  plugins: [
    "@hey-api/client-fetch",
    "@hey-api/typescript",
    "zod",
    { name: "@hey-api/sdk", validator: true },
  ],
});
