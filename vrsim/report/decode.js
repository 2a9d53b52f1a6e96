// Blocks of data from the page: base64 of gzip of a head (JSON) and columns. blocks.py writes them.

const cached = new Map();

function block(name) {
  if (!cached.has(name)) cached.set(name, unpack(document.getElementById(`data-${name}`).textContent));
  return cached.get(name);
}

async function unpack(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const utf8 = new TextDecoder();
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(utf8.decode(new Uint8Array(buffer, 4, size)));
  const columns = {};
  for (const [name, [kind, start, length]] of Object.entries(head.columns)) {
    const at = 4 + size + start;
    if (kind === "text") columns[name] = utf8.decode(new Uint8Array(buffer, at, length));
    else columns[name] = new { Uint8Array, Uint16Array, Uint32Array }[kind](buffer.slice(at, at + length));
  }
  return { ...head, columns };
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const bytes = atob(text);
  return Uint8Array.from({ length: bytes.length }, (_, i) => bytes.charCodeAt(i));
}
