# SPDX-License-Identifier: Apache-2.0
"""TLS seen by somebody who wants in: sessions where they do not belong, files that are no good. S-SEC-4 S-EC-1"""
import pytest

from pki import replace
from ports import free_port
from tls import NAME, certificate, client, context, s_client, site


@pytest.fixture
def simple(gateway, backend, pki):
    """A factory of sites with one certificate, for a.example, by the root."""
    def make(settings="", **kw):
        return site(gateway, backend(), certificate("a", pki.leaf(NAME)), settings, **kw)
    return make


# --- sessions ---------------------------------------------------------------------------------------
def test_session_under_another_name(gateway, backend, pki):
    """TLS 1.2: a session of one name is none of another (RFC 6066 3): the right certificate is shown, and a name
    that a strict listener does not know is refused, session or not."""
    gw = site(gateway, backend(), [certificate("a", pki.leaf(NAME)), certificate("b", pki.leaf("b.example"))],
              "strict_sni = true;")
    tls = context(None, version="1.2")
    with client(gw, tls) as c:
        c.ask("GET", "/", host=NAME)
        session = c.sock.session
    with client(gw, tls, session=session) as c:
        assert c.sock.session_reused
    with client(gw, tls, "b.example", session=session) as c:
        assert not c.sock.session_reused and c.ask("GET", "/", host="b.example").status == 200
    with pytest.raises(OSError):
        client(gw, tls, "c.example", session=session)
    with pytest.raises(OSError):
        client(gw, tls, None, session=session)
    assert gw.metric("gateway_tls_handshake_failures_total", reason="name") == 2


def test_session_of_other_ciphers(gateway, backend, pki, tmp_path):
    """TLS 1.2: a session does not carry a cipher to a listener that has switched it off."""
    weak = free_port()
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)), more="", weak=weak)
    text = gw.conf_file.read_text().replace('{ id = "tls";', f'{{ id = "weak"; address = "127.0.0.1:{weak}"; '
                                            'tls = { enabled = true; ciphers = "ECDHE-ECDSA-AES128-SHA256"; }; },\n{ id = "tls";')
    gw.reload(text)
    strong, gw.words["tls"] = gw.words["tls"], weak
    said = s_client(gw, "-tls1_2", "-sess_out", tmp_path / "session")
    assert said.status == 200 and said.cipher == "ECDHE-ECDSA-AES128-SHA256"
    gw.words["tls"] = strong
    said = s_client(gw, "-tls1_2", "-sess_in", tmp_path / "session")
    assert said.status == 200 and not said.reused and "GCM" in said.cipher
