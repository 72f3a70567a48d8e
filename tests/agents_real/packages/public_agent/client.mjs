// Lets the public client class and the public agent of a person's own machine use the API, and says what they got.
// Usage: node client.mjs FOLDER_OF_THE_MODULES, with the options as JSON on standard input.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.argv[2]}/${name}.js`).href);
const [{ PostHogAPIClient }, { Agent }] = [await load("posthog-api"), await load("agent")];
const { url, key, project, task, run } = JSON.parse(readFileSync(0, "utf8"));
const posthog = { apiUrl: url, projectId: project, getApiKey: () => key };
const client = new PostHogAPIClient(posthog);

async function files() {
  const bytes = Buffer.from([0, 13, 10, 255, 32, 10]);
  const file = { name: "report.bin", type: "output", source: "agent_output", content_type: "application/octet-stream" };
  const read = async (artifact) => Buffer.from(await client.downloadArtifact(task, run, artifact.storage_path));

  const [form] = await client.prepareTaskArtifactUploads(task, run, [{ ...file, size: bytes.length }]);
  const body = new FormData();
  for (const [name, value] of Object.entries(form.presigned_post.fields)) body.append(name, value);
  body.append("file", new Blob([bytes], { type: file.content_type }), file.name);
  const sent = await fetch(form.presigned_post.url, { method: "POST", body });
  const [direct] = await client.finalizeTaskArtifactUploads(task, run, [{ ...file, id: form.id, storage_path: form.storage_path }]);

  // A checkpoint: its content is base64 that the client itself decodes, so the text must come back as it went.
  const content = bytes.toString("base64");
  const parts = ["pack", "index"].map((kind) => ({ name: `handoff/one.${kind}`, type: "artifact", content }));
  const checkpoint = await client.uploadTaskArtifacts(task, run, parts);
  const [decoded] = await client.uploadTaskArtifacts(task, run, [{ ...file, content, content_encoding: "base64" }]);
  return {
    sent: sent.ok,
    direct: bytes.equals(await read(direct)) && direct.size === bytes.length,
    checkpoint: checkpoint.map((artifact) => artifact.name),
    checkpointText: (await read(checkpoint[0])).toString() === content,
    decoded: bytes.equals(await read(decoded)),
    missing: await client.downloadArtifact(task, run, "tasks/artifacts/of/somebody/else"),
  };
}

async function machine() {
  const agent = new Agent({ posthog, enricher: { enabled: false } });
  await agent.run(task, run, { adapter: "claude", gatewayUrl: `${url}/none` }); // it asks no model before it has a session
  for (const number of [7, 8]) await agent.attachPullRequestToTask(task, `https://github.com/acme/widgets/pull/${number}`, "feature");
  const entries = ["é 😀", "\u2028\ud800"].map((message) => ({
    type: "notification",
    timestamp: new Date().toISOString(),
    notification: { jsonrpc: "2.0", method: "_posthog/console", params: { message, level: "info" } },
  }));
  await client.appendTaskRunLog(task, run, entries);
  await client.relayMessage(task, run, "Here it is.", ["Here it is."]);
  const state = await client.updateTaskRun(task, run, { status: "completed", state: { token_usage: { turns: 1 } } });
  const kept = await client.fetchTaskRunLogs(await client.getTaskRun(task, run));
  await agent.cleanup();
  return {
    output: state.output,
    branch: state.branch,
    status: state.status,
    usage: state.state.token_usage,
    log: JSON.stringify(kept) === JSON.stringify(entries),
    user: await client.getUserNode(),
  };
}

process.stdout.write(JSON.stringify({ files: await files(), machine: await machine() }));
process.exit(0);
