// Replays a recorded editing session with y-websocket's providers, one for each person, and a reader.
//
//   node replay.mjs ws://127.0.0.1:PORT/ws TRACE.json.gz DOCUMENT
//
// Each person has a document of their own, in which they edit, beside the provider's. What the provider's document
// receives reaches the person's only once the recording says that they had it when they typed. Says `half` on
// stdout when half of it is typed, then what came of it as JSON.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { setImmediate as turn } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const [, , url, file, name] = process.argv
const trace = JSON.parse(gunzipSync(readFileSync(file)).toString())

/** Transactions that may be typed before the event loop gets to send and receive. */
const AT_ONCE = 50
const MAX_BUFFERED = 1 << 20

class Person {
  constructor(id) {
    this.doc = new Y.Doc()
    if (id !== undefined) this.doc.clientID = id
    this.text = this.doc.getText('content')
    this.shared = new Y.Doc()
    this.received = []
    this.typed = []
    this.provider = new WebsocketProvider(url, name, this.shared, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
      maxBackoffTime: 500,
    })
    this.disconnects = 0
    this.provider.on('status', ({ status }) => (this.disconnects += status === 'disconnected' ? 1 : 0))
    this.shared.on('update', (update, origin) => {
      if (origin !== this) this.received.push(update)
    })
    this.doc.on('update', (update, origin) => {
      if (origin !== this) Y.applyUpdate(this.shared, update, this)
    })
  }

  /** Resolves once `condition` holds, looked at whenever something is received. */
  until(condition) {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.shared.off('update', look)
        resolve()
      }
      this.shared.on('update', look)
      look()
    })
  }

  type(patches) {
    const before = Y.getState(this.doc.store, this.doc.clientID)
    let deleted
    const note = (transaction) => (deleted = transaction.deleteSet)
    this.doc.once('afterTransaction', note)
    this.doc.transact(() => {
      for (const [position, gone, inserted] of patches) {
        // Positions count code points, Yjs counts UTF-16.
        const from = this.offset(position)
        if (gone) this.text.delete(from, this.offset(position + gone) - from)
        if (inserted) this.text.insert(from, inserted)
      }
    })
    const after = Y.getState(this.doc.store, this.doc.clientID)
    this.typed.push({ client: this.doc.clientID, clock: after > before ? after : 0, deleted })
    this.beyond ||= patches.some(([, , inserted]) => /[\ud800-\udfff]/.test(inserted))
  }

  offset(position) {
    if (!this.beyond) return position
    return [...this.text.toString()].slice(0, position).join('').length
  }

  /** Whether the other's first `count` transactions are in `doc`. */
  static has(doc, typed, count) {
    if (count === 0) return true
    if (typed.length < count) return false
    const { client, clock, deleted } = typed[count - 1]
    if (clock > Y.getState(doc.store, client)) return false
    for (const [author, ranges] of deleted.clients) {
      for (const { clock, len } of ranges) {
        if (clock + len > Y.getState(doc.store, author)) return false
        for (const id of [clock, clock + len - 1]) if (!Y.getItem(doc.store, Y.createID(author, id)).deleted) return false
      }
    }
    return true
  }
}

// Whose turn builds on how many turns of the other.
const people = []
const turns = []
const seen = []
for (const { agent = 0, parents = [], patches } of trace.txns) {
  turns[agent] ??= []
  const known = [0, 1].map((a) => Math.max(0, ...parents.map((parent) => seen[parent][a])))
  turns[agent].push({ patches, foreign: turns.length > 1 || trace.numAgents === 2 ? known[1 - agent] : 0 })
  known[agent] = turns[agent].length
  seen.push(known)
}
// Where both inserted at one place, the recording has the text of the first agent, so the lower id, in front.
for (const agent of turns.keys()) people.push(new Person(agent + 1))
const reader = new Person()

let typed = 0
const half = trace.txns.length >> 1

const play = async (person, other, turns, othersTurns) => {
  const stops = new Set(othersTurns.map(({ foreign }) => foreign))
  let number = 0
  for (const { patches, foreign } of turns) {
    while (other && !Person.has(person.doc, other.typed, foreign)) {
      await person.until(() => person.received.length > 0 || Person.has(person.doc, other.typed, foreign))
      if (person.received.length) Y.applyUpdate(person.doc, person.received.shift(), person)
    }
    person.type(patches)
    number += 1
    if (++typed === half) console.log('half')
    // What the other needs in the middle of our turns has to get there before we go on, or it may come in one piece
    // with what we do next.
    if (stops.has(number)) await other.until(() => Person.has(other.shared, person.typed, number))
    else if (number % AT_ONCE === 0) {
      do await turn()
      while (person.provider.ws?.bufferedAmount > MAX_BUFFERED)
    }
  }
}

const [first, second] = people
await Promise.all(people.map((person, agent) =>
  play(person, second && people[1 - agent], turns[agent], second ? turns[1 - agent] : [])))

const everybody = [...people, reader]
for (const person of everybody) {
  await person.until(() => person.shared.getText('content').toString() === trace.endContent)
  for (const update of person.received) Y.applyUpdate(person.doc, update, person)
}
console.log(JSON.stringify({
  right: everybody.map(({ text }) => text.toString() === trace.endContent),
  disconnects: everybody.map(({ disconnects }) => disconnects),
}))
process.exit(0)
