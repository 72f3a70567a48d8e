// Lets the public client class send files and read them back: node files.mjs MODULE, and its options as JSON on standard input.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { PostHogAPIClient } = await import(pathToFileURL(process.argv[2]).href);
const { url, key, project, task, run } = JSON.parse(readFileSync(0, "utf8"));
const client = new PostHogAPIClient({ apiUrl: url, projectId: project, getApiKey: () => key });

const bytes = Buffer.from([0, 13, 10, 255, 32, 10]);
const file = { name: "report.bin", type: "output", source: "agent_output", content_type: "application/octet-stream" };

const [form] = await client.prepareTaskArtifactUploads(task, run, [{ ...file, size: bytes.length }]);
const body = new FormData();
for (const [name, value] of Object.entries(form.presigned_post.fields)) body.append(name, value);
body.append("file", new Blob([bytes], { type: file.content_type }), file.name);
const sent = await fetch(form.presigned_post.url, { method: "POST", body });
const [finalized] = await client.finalizeTaskArtifactUploads(task, run, [{ ...file, id: form.id, storage_path: form.storage_path }]);

// A checkpoint: its content is base64 that the client itself decodes, so the text must come back as it went.
const pack = bytes.toString("base64");
const checkpoint = ["pack", "index"].map((kind) => ({ name: `handoff/one.${kind}`, type: "artifact", content: pack }));
const uploaded = await client.uploadTaskArtifacts(task, run, checkpoint);
const [decoded] = await client.uploadTaskArtifacts(task, run, [{ ...file, name: "copy.bin", content: pack, content_encoding: "base64" }]);

const read = async (artifact) => Buffer.from(await client.downloadArtifact(task, run, artifact.storage_path)).toString("base64");
const result = {
  sent: sent.ok,
  direct: (await read(finalized)) === pack && finalized.size === bytes.length,
  checkpoint: uploaded.map((artifact) => artifact.name),
  checkpointText: Buffer.from(await read(uploaded[0]), "base64").toString() === pack,
  decoded: (await read(decoded)) === pack,
  missing: await client.downloadArtifact(task, run, "tasks/artifacts/of/somebody/else"),
  user: await client.getUserNode(),
};
process.stdout.write(JSON.stringify(result));
