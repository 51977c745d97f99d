// SPDX-License-Identifier: MIT
// Node.js, over the command alone: call(entry, bytes) runs a function of a shared object in a fresh process, and its
// result is a Buffer. node call.mjs MODULE:FUNCTION FILE... says what the function makes of each file.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const command = process.env.FORKSERVER ?? "forkserver";

async function collect(stream) {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces);
}

// Loads the module once. close() ends the server.
async function serve(module) {
    const directory = await mkdtemp(join(tmpdir(), "forkserver-"));
    const socket = join(directory, "socket");
    const server = spawn(command, ["serve", "--socket", socket, "--preload", module], { stdio: "ignore" });
    const ended = new Promise((resolve) => server.once("close", resolve));

    return {
        // Resolves to what the function gives back; rejects with an error that has exitCode, signal and the text.
        async call(entry, bytes, { timeout = 10 } = {}) {
            const child = spawn(command, ["call", "--socket", socket, "--timeout", `${timeout}`, entry]);
            child.stdin.on("error", () => {}); // it has ended without reading: its exit code says why
            child.stdin.end(bytes);
            const [result, text, [exitCode, signal]] = await Promise.all([
                collect(child.stdout), collect(child.stderr),
                new Promise((resolve) => child.once("close", (...how) => resolve(how))),
            ]);
            if (exitCode === 0) return result;
            throw Object.assign(new Error(text.toString().trim()), { exitCode, signal });
        },
        async close() {
            server.kill();
            await ended;
            await rm(directory, { recursive: true });
        },
        socket,
    };
}

// A server that has just been started listens in a moment.
async function listens(socket) {
    for (let left = 500; left > 0; left--) {
        const ping = spawn(command, ["ping", "--socket", socket], { stdio: "ignore" });
        if (await new Promise((resolve) => ping.once("close", (code) => resolve(code === 0)))) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("the server does not listen");
}

const [entry, ...files] = process.argv.slice(2);
const server = await serve(entry.slice(0, entry.lastIndexOf(":")));
try {
    await listens(server.socket);
    for (const file of files) {
        const bytes = await readFile(file);
        console.log(file, await server.call(entry, bytes).then(String, (error) => `failed: ${error.message}`));
    }
} finally {
    await server.close();
}
