// Another provider over PostgreSQL, to be measured beside ours: `oidc-provider`, and what it keeps in one table.
// node server.mjs DATABASE_URL AUTHORIZATIONS says in a line of JSON on which port it listens, and the first refresh
// tokens of as many people as there are authorizations. It has a program that acts for itself, and a public client.
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'
import pg from 'pg'

const [url, authorizations] = process.argv.slice(2)
const API = 'https://store.example.org/api'
const CALLBACK = 'https://app.example.org/callback'
const pool = new pg.Pool({ connectionString: url, max: 10 })

class Kept {
  constructor (model) {
    this.model = model
  }

  async upsert (id, payload, expiresIn) {
    const expires = expiresIn ? new Date(Date.now() + expiresIn * 1000) : null
    await ask('upsert', [this.model, id, payload, payload.grantId ?? null, expires])
  }

  find (id) {
    return this.one('find', id)
  }

  findByUid (uid) {
    return this.one('find_by_uid', uid)
  }

  findByUserCode (code) {
    return this.one('find_by_user_code', code)
  }

  async consume (id) {
    await ask('consume', [this.model, id])
  }

  async destroy (id) {
    await ask('destroy', [this.model, id])
  }

  async revokeByGrantId (grant) {
    await ask('revoke', [grant])
  }

  async one (statement, by) {
    const [row] = await ask(statement, [this.model, by])
    return row && { ...row.payload, ...(row.consume_time && { consumed: true }) }
  }
}

const LIVE = 'SELECT payload, consume_time FROM kept WHERE (expire_time IS NULL OR expire_time > now()) AND model = $1'
const STATEMENTS = {
  upsert: `INSERT INTO kept (model, id, payload, grant_id, expire_time) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (model, id) DO UPDATE SET payload = $3, grant_id = $4, expire_time = $5`,
  find: `${LIVE} AND id = $2`,
  find_by_uid: `${LIVE} AND payload ->> 'uid' = $2`,
  find_by_user_code: `${LIVE} AND payload ->> 'userCode' = $2`,
  consume: 'UPDATE kept SET consume_time = now() WHERE model = $1 AND id = $2',
  destroy: 'DELETE FROM kept WHERE model = $1 AND id = $2',
  revoke: 'DELETE FROM kept WHERE grant_id = $1'
}

async function ask (name, values) { // prepared once for each connection
  return (await pool.query({ name, text: STATEMENTS[name], values })).rows
}

function key (type, alg) {
  const { privateKey } = generateKeyPairSync(type, { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg }
}

await pool.query(`CREATE TABLE kept (
  model text, id text, payload jsonb NOT NULL, grant_id text, expire_time timestamptz, consume_time timestamptz,
  PRIMARY KEY (model, id))`)
await pool.query('CREATE INDEX ON kept (grant_id)')

const provider = new Provider('https://store.example.org', {
  adapter: Kept,
  clients: [
    {
      client_id: 'shop',
      client_secret: 'a secret of sixty-four characters that nobody would guess, ever.',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: []
    },
    {
      client_id: 'app',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK]
    }
  ],
  cookies: { keys: ['of the forms that nobody sees here'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: { // access tokens that services check by themselves, as ours are
      enabled: true,
      defaultResource: () => API,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience: API, scope: 'profile', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'EdDSA' } }
      })
    }
  },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  jwks: { keys: [key('ed25519', 'EdDSA'), key('rsa', 'RS256')] },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'profile'],
  ttl: { AccessToken: 300, ClientCredentials: 300, Grant: 2_592_000, RefreshToken: 2_592_000, IdToken: 300 }
})

async function authorized (person) {
  const scope = 'offline_access profile' // with openid there would be an ID token for each refresh; ours gives none
  const grant = new provider.Grant({ accountId: person, clientId: 'app' })
  grant.addOIDCScope(scope)
  grant.addResourceScope(API, 'profile')
  const client = await provider.Client.find('app')
  const token = new provider.RefreshToken({
    accountId: person, authTime: Math.floor(Date.now() / 1000), client, grantId: await grant.save(),
    gty: 'authorization_code', resource: API, rotations: 0, scope
  })
  return token.save()
}

const people = Array.from({ length: Number(authorizations) }, (_, one) => `person-${one}`)
const tokens = await Promise.all(people.map(authorized))
const server = provider.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port, tokens }))
})
