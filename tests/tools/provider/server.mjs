// The OpenID provider that the tests sign in at: panva's oidc-provider with accounts that have no
// passwords. Everything but its sign-in form is the library's own doing.
//
//   node server.mjs SETTINGS        (a JSON object; tests/bench/oidc_provider.rs writes it)

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const { Provider } = await import(
  pathToFileURL(createRequire(`${settings.modules}/`).resolve('oidc-provider')).href
);

// The keys outlive a restart, as a real provider's do, unless somebody deletes the file.
function signingKeys(file) {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
    writeFileSync(file, JSON.stringify({ keys: [key] }));
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: signingKeys(settings.keys),
  cookies: { keys: ['of the tests alone'] },
  features: { devInteractions: { enabled: false } },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
  },
  // Claims in the ID token, as most providers send them.
  conformIdTokenClaims: false,
  findAccount: (_, id) =>
    settings.accounts[id] && {
      accountId: id,
      claims: () => ({ sub: id, ...settings.accounts[id] }),
    },
  // Every client is trusted with what it asks for; nobody is asked for consent.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
    grant.addOIDCScope('openid email profile groups offline_access');
    await grant.save();
    return grant;
  },
  ...settings.configuration,
});

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function signInPage(uid, clientId, hint, problem) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in: test provider</title>
<style>body{font:16px system-ui;max-width:24rem;margin:10vh auto}input,button{font:inherit;padding:.4rem}</style>
<h1>Test provider</h1><p>Sign in to <b>${escaped(clientId)}</b></p>${problem ? `<p role="alert">${escaped(problem)}</p>` : ''}
<form method="post" action="/interaction/${escaped(uid)}">
<label>Account <input name="login" value="${escaped(hint ?? '')}" autofocus></label>
<button name="act" value="sign-in">Sign in</button> <button name="act" value="cancel">Cancel</button></form>
<p>Accounts: ${Object.keys(settings.accounts).map(escaped).join(', ')}</p></html>`;
}

async function form(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return new URLSearchParams(body);
}

async function finish(ctx, result) {
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false }));
  ctx.status = 303;
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { uid, params } = await provider.interactionDetails(ctx.req, ctx.res);
  ctx.type = 'html';
  if (ctx.method !== 'POST') {
    ctx.body = signInPage(uid, params.client_id, params.login_hint);
    return undefined;
  }
  const filled = await form(ctx.req);
  const login = filled.get('login');
  if (filled.get('act') === 'cancel') {
    return finish(ctx, { error: 'access_denied', error_description: 'the person cancelled' });
  }
  if (!settings.accounts[login]) {
    ctx.status = 400;
    ctx.body = signInPage(uid, params.client_id, login, 'There is no such account.');
    return undefined;
  }
  return finish(ctx, { login: { accountId: login } });
});

provider.on('server_error', (ctx, error) => console.error('server_error', error));
for (const event of ['authorization.error', 'grant.error', 'userinfo.error', 'introspection.error']) {
  provider.on(event, (ctx, error) => console.log(event, error.error, error.error_detail ?? error.error_description ?? ''));
}

provider.listen(settings.port, settings.host, () => console.log(`listening at ${settings.issuer}`));
