// One of several Hocuspocus servers that share documents over Redis, as its documentation has it:
// node hocuspocus_redis.mjs FOLDER PORT REDIS_PORT
// FOLDER is where setup-peers installed it.
const [, , folder, port, redis] = process.argv
const modules = `${folder}/hocuspocus-redis/node_modules/@hocuspocus`
const { Server } = await import(`${modules}/server/dist/hocuspocus-server.esm.js`)
const { Redis } = await import(`${modules}/extension-redis/dist/hocuspocus-redis.esm.js`)
await new Server({
  port: Number(port),
  address: '127.0.0.1',
  quiet: true,
  extensions: [new Redis({ host: '127.0.0.1', port: Number(redis) })],
}).listen()
