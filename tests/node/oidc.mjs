// An OpenID provider (oidc-provider, which is certified) on a free port of 127.0.0.1. Opened by tests/support/oidc.py.
//
//   node oidc.mjs '{"key": …, "secret": …, "redirect_uri": …, "post_logout_redirect_uri": …, "backchannel_logout_uri": …}'
//
// Prints {"issuer": …} once it serves. Whoever says a name in its form is signed in under that name, with an address
// at example.org made of it: there are no passwords, and nobody is asked whether he consents.

import { createServer } from 'node:http'

import { Provider } from 'oidc-provider'

const SCOPES = 'openid profile email groups'

const { key, secret, redirect_uri, post_logout_redirect_uri, backchannel_logout_uri } = JSON.parse(process.argv[2])

const escaped = (text) => text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`)
const pageOf = (title, body) => `<!doctype html><title>${title}</title><h1>${title}</h1>${body}`

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: ['of the tests'] },
  clients: [
    {
      client_id: 'collabd',
      client_secret: secret,
      redirect_uris: [redirect_uri],
      post_logout_redirect_uris: [post_logout_redirect_uri],
      backchannel_logout_uri,
      backchannel_logout_session_required: true,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    },
  ],
  pkce: { required: () => true },
  scopes: SCOPES.split(' '),
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
  findAccount: (_ctx, name) => ({
    accountId: name,
    claims: () => ({
      sub: name,
      name,
      email: `${name.toLowerCase().replaceAll(' ', '.')}@example.org`,
      email_verified: true,
      groups: ['staff'],
    }),
  }),
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: { AccessToken: 60, IdToken: 60, RefreshToken: 600, Interaction: 600, Session: 3600, Grant: 3600 },
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
    grant.addOIDCScope(SCOPES)
    await grant.save()
    return grant
  },
  // Its own dispatcher speaks to no server on this machine, as providers on the internet must not.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx, form) {
        const button = '<button form="op.logoutForm" name="logout" value="yes">Sign out</button>'
        ctx.body = pageOf('Sign out here too?', form + button)
      },
      postLogoutSuccessSource(ctx) {
        ctx.body = pageOf('Signed out', '')
      },
    },
  },
  renderError(ctx, out) {
    ctx.body = pageOf('Refused', `<p>${escaped(`${out.error}: ${out.error_description ?? ''}`)}</p>`)
  },
})

const bodyOf = async (request) => {
  const parts = []
  for await (const part of request) parts.push(part)
  return new URLSearchParams(Buffer.concat(parts).toString())
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  if (ctx.method === 'POST') {
    const name = (await bodyOf(ctx.req)).get('name') || 'Nobody'
    const result = { login: { accountId: name } }
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false })
    ctx.respond = false
    return
  }
  await provider.interactionDetails(ctx.req, ctx.res)
  const field = '<label>Name <input name="name" required autofocus></label>'
  ctx.type = 'html'
  ctx.body = pageOf('Who are you?', `<form method="post">${field} <button>Continue</button></form>`)
})

server.on('request', provider.callback())
console.log(JSON.stringify({ issuer }))
