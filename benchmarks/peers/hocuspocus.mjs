// Hocuspocus as its documentation starts it, keeping documents in memory: node hocuspocus.mjs FOLDER PORT
// FOLDER is where setup-peers installed it.
const [, , folder, port] = process.argv
const { Server } = await import(
  `${folder}/hocuspocus/node_modules/@hocuspocus/server/dist/hocuspocus-server.esm.js`
)
await new Server({ port: Number(port), address: '127.0.0.1', quiet: true }).listen()
