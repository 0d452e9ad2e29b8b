// Stock clients (Yjs and y-websocket's provider) told what to do on stdin, one JSON object a line; each is answered
// by one on stdout. Opened by tests/support/stock.py.
//
//   node client.mjs ws://127.0.0.1:PORT/ws [CLOCK]
//
// CLOCK makes time pass that many times faster for everything in here.

import { createInterface } from 'node:readline'

const [, , url, clock = '1'] = process.argv

// Before anything is imported that looks at the time.
const speed = Number(clock)
if (speed !== 1) {
  const { setTimeout, setInterval } = globalThis
  const start = Date.now()
  const now = Date.now
  Date.now = () => start + (now() - start) * speed
  globalThis.setTimeout = (callback, delay = 0, ...rest) => setTimeout(callback, delay / speed, ...rest)
  globalThis.setInterval = (callback, delay = 0, ...rest) => setInterval(callback, delay / speed, ...rest)
}

const { WebSocket } = await import('ws')
const Y = await import('yjs')
const { WebsocketProvider } = await import('y-websocket')

const clients = new Map()

/** Resolves once `condition` holds, which is looked at whenever one of `events` of `emitter` happens. */
const until = (condition, ...sources) =>
  new Promise((resolve) => {
    const look = () => {
      if (!condition()) return
      for (const [emitter, event] of sources) emitter.off(event, look)
      resolve()
    }
    for (const [emitter, event] of sources) emitter.on(event, look)
    look()
  })

const open = (document, params = {}) => {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(url, document, doc, { WebSocketPolyfill: WebSocket, disableBc: true, params })
  const client = { doc, provider, closes: [] }
  provider.on('connection-close', (event) => client.closes.push(event?.code ?? null))
  return client
}

const synced = ({ provider }) => until(() => provider.synced, [provider, 'sync'])

const xml = (node) =>
  node instanceof Y.XmlText
    ? node.toDelta()
    : {
        name: node instanceof Y.XmlElement ? node.nodeName : null,
        attributes: node instanceof Y.XmlElement ? node.getAttributes() : {},
        children: node.toArray().map(xml),
      }

const commands = {
  /** Opens a document; `params` go into the address. */
  async open({ client, document, params }) {
    clients.set(client, open(document, params))
    await synced(clients.get(client))
  },
  /** Parameters of the address from the next connection on. */
  async renew({ client, params }) {
    clients.get(client).provider.params = params
  },
  async synced({ client }) {
    await synced(clients.get(client))
  },
  async close({ client }) {
    const { provider, doc } = clients.get(client)
    clients.delete(client)
    provider.destroy()
    doc.destroy()
  },
  async disconnect({ client }) {
    const { provider } = clients.get(client)
    provider.disconnect()
    await until(() => !provider.wsconnected, [provider, 'status'])
  },
  async connect({ client }) {
    clients.get(client).provider.connect()
    await synced(clients.get(client))
  },
  async insert({ client, position, text }) {
    clients.get(client).doc.getText('content').insert(position, text)
  },
  async remove({ client, position, length }) {
    clients.get(client).doc.getText('content').delete(position, length)
  },
  async text({ client, expected }) {
    const { doc } = clients.get(client)
    const text = doc.getText('content')
    if (expected !== undefined) await until(() => text.toString() === expected, [doc, 'update'])
    return text.toString()
  },
  async presence({ client, field, value }) {
    clients.get(client).provider.awareness.setLocalStateField(field, value)
  },
  /** The states of everybody else, once there are `count` with `field`. */
  async others({ client, field, count }) {
    const { provider, doc } = clients.get(client)
    const others = () =>
      [...provider.awareness.getStates()]
        .filter(([id, state]) => id !== doc.clientID && state[field] !== undefined)
        .map(([, state]) => state[field])
    await until(() => others().length === count, [provider.awareness, 'update'])
    return others()
  },
  /** Closes of connections seen so far, as codes (null: the provider gave up on one itself). */
  async closes({ client, count = 0 }) {
    const { closes, provider } = clients.get(client)
    await until(() => closes.length >= count, [provider, 'connection-close'])
    return closes
  },
  /** Sends bytes over the provider's own connection. */
  async send({ client, data }) {
    clients.get(client).provider.ws.send(Uint8Array.from(data))
  },
  async state({ client }) {
    const { doc, provider } = clients.get(client)
    return { connected: provider.wsconnected, synced: provider.synced, shouldConnect: provider.shouldConnect, id: doc.clientID }
  },
  /** Everything in a document with the roots that tests use. */
  async read({ document }) {
    const client = open(document)
    await synced(client)
    const { doc, provider } = client
    const content = {
      text: doc.getText('content').toDelta(),
      map: doc.getMap('map').toJSON(),
      array: doc.getArray('array').toJSON(),
      xml: xml(doc.getXmlFragment('prosemirror')),
    }
    provider.destroy()
    doc.destroy()
    return content
  },
  /** Lets `seconds` of the time in here pass. */
  async wait({ seconds }) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line)
  try {
    console.log(JSON.stringify({ result: (await commands[command](rest)) ?? null }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.stack) }))
  }
}
process.exit(0)
