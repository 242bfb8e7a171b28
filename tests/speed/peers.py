"""What else answers nginx's `auth_request` from a session in a cookie, signed in and ready to be asked.

oauth2-proxy is measured when its program is given. Apache's mod_auth_openidc, a module in C
that certified itself with the OpenID Foundation, always is: it keeps its session sealed in a cookie too, and needs no store.
"""
import base64, hashlib, hmac, http.server, json, os, re, socket, sys, threading, time, urllib.parse

from processes import free_port, need, start, wait_for, work

MODULES = "/usr/lib/apache2/modules"
HOST = "auth"  # what the requests of the measurements say; some sessions are bound to it


class Peer:
    """A server on core 0 and what to ask it, as `bench.Check` says it."""

    requests, others, mode = None, (), "navigate"
    # Apache resets some connections that it closes: the share of requests that may fail so.
    tolerated = 0.01

    def fetch(self, method, target, headers=(), body=""):
        """One answer as text. By hand: a Secure cookie must be had, and sent, without TLS."""
        host, port = self.address.split(":")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers]
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")

    def cookies(self, answer, name):
        """The cookies of this name that an answer sets, as they are sent."""
        found = re.findall(rf"^set-cookie: ({name}[^;=]*=[^;\s]+)", answer, re.M | re.I)
        if not found:
            sys.exit(f"tests/speed/bench: {type(self).__name__} gave no cookie: {answer[:300]}")
        return "; ".join(found)


class OAuth2Proxy(Peer):
    """With a cookie session, signed in through its own form, its settings as recommended behind nginx."""

    def __init__(self, program, logs):
        port, password = free_port(), "correct horse"
        users = work / "htpasswd"
        users.write_text("ann:{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode() + "\n")
        flags = {
            "http-address": f"127.0.0.1:{port}", "provider": "github", "client-id": "x", "client-secret": "x",
            "cookie-secret": "0123456789abcdef0123456789abcdef", "email-domain": "*", "upstream": "static://200",
            "htpasswd-file": users, "reverse-proxy": "true", "set-xauthrequest": "true",
        }
        if not logs:
            flags |= {"standard-logging": "false", "auth-logging": "false", "request-logging": "false"}
        self.process = start(["taskset", "-c", "0", program, *(f"--{name}={value}" for name, value in flags.items())])
        wait_for(port)
        self.address, self.path, self.status = f"127.0.0.1:{port}", "/oauth2/auth", 202
        form = urllib.parse.urlencode({"username": "ann", "password": password})
        headers = ["X-Forwarded-Proto: https", "Content-Type: application/x-www-form-urlencoded"]
        self.cookie = self.cookies(self.fetch("POST", "/oauth2/sign_in", headers, form), "")


class ModAuthOpenidc(Peer):
    """Apache (event MPM, one process, no log) with a session in the cookie and one of twelve groups asked for."""

    def __init__(self):
        port, provider = free_port(), Provider()
        (work / "htdocs").mkdir(exist_ok=True)
        (work / "htdocs/check").write_text("")
        modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "headers"]
        configuration = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in modules]
        (work / "apache.conf").write_text("\n".join([*configuration, f"""
            ServerName 127.0.0.1
            Listen 127.0.0.1:{port}
            PidFile {work}/apache.pid
            Mutex file:{work}
            DefaultRuntimeDir {work}
            ErrorLog /dev/null
            StartServers 1
            ServerLimit 1
            ThreadsPerChild 64
            MaxRequestWorkers 64
            AsyncRequestWorkerFactor 4
            MaxKeepAliveRequests 0
            KeepAliveTimeout 60
            DocumentRoot {work}/htdocs
            OIDCProviderMetadataURL {provider.origin}/.well-known/openid-configuration
            OIDCClientID bench
            OIDCClientSecret {provider.secret}
            OIDCIDTokenSignedResponseAlg HS256
            OIDCRedirectURI /callback
            OIDCCryptoPassphrase 0123456789abcdef0123456789abcdef
            OIDCSessionType client-cookie
            OIDCSessionInactivityTimeout 3600
            <Location />
                AuthType openid-connect
                Require claim groups:team-number-11
                Header set X-Auth-Request-User "expr=%{{REMOTE_USER}}"
                Header set X-Auth-Request-Email %{{OIDC_CLAIM_email}}e
                Header set X-Auth-Request-Groups %{{OIDC_CLAIM_groups}}e
            </Location>
        """]))
        self.process = start(["taskset", "-c", "0", need("apache2", "apache2-bin"), "-DFOREGROUND", "-f", work / "apache.conf"])
        wait_for(port)
        self.address, self.path, self.status = f"127.0.0.1:{port}", "/check", 200
        asked = self.fetch("GET", "/check", ["Accept: text/html"])
        sent = urllib.parse.parse_qs(urllib.parse.urlsplit(re.search(r"^location: (\S+)", asked, re.M | re.I)[1]).query)
        provider.nonce = sent["nonce"][0]
        back = "/callback?" + urllib.parse.urlencode({"code": "x", "state": sent["state"][0]})
        state = f"Cookie: {self.cookies(asked, 'mod_auth_openidc_state')}"
        self.cookie = self.cookies(self.fetch("GET", back, ["Accept: text/html", state]), "mod_auth_openidc_session")
        provider.stop()


class Provider:
    """A token endpoint that says who ann is, once: all that a sign-in without discovery needs."""

    def __init__(self):
        self.secret, self.nonce = "0123456789abcdef0123456789abcdef", None
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.say(provider.metadata())

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.say({"access_token": "x", "token_type": "Bearer", "id_token": provider.token()})

            def say(self, answer):
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def metadata(self):
        """OpenID Connect Discovery 1.0, section 3."""
        return {
            "issuer": self.origin, "authorization_endpoint": f"{self.origin}/authorize", "token_endpoint": f"{self.origin}/token",
            "jwks_uri": f"{self.origin}/keys", "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256"], "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def token(self):
        """An ID token signed with the client's secret (OpenID Connect Core 1.0, section 3.1.3.7, point 8)."""
        now = int(time.time())
        claims = {
            "iss": self.origin, "aud": "bench", "sub": "ann", "iat": now, "exp": now + 3600, "nonce": self.nonce,
            "email": "ann@corp.example", "email_verified": True, "groups": [f"team-number-{n}" for n in range(12)],
        }
        parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{encoded(hmac.digest(self.secret.encode(), signed.encode(), 'sha256'))}"


def encoded(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
