// One JSON value a line, in and out.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const next = async () => JSON.parse((await lines.next()).value);
export const tell = (said) => console.log(JSON.stringify(said));
