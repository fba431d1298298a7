//! Certificates for one server and its clients, by an authority of their own.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};

/// What a client needs to speak TLS with a server, as PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate of the authority that signed the server's and the client's.
    pub authority: String,
    /// The client's certificate.
    pub client: String,
    /// The client's key.
    pub client_key: String,
}

impl Certificates {
    /// Makes them, and puts them into a folder as `ca.pem`, `client.pem`, `client.key`, `server.pem` (for `localhost` and
    /// `127.0.0.1`) and `server.key`.
    pub(super) fn make(folder: &Path) -> Self {
        let authority = authority();
        let (server, server_key) = signed("localhost", &["localhost", "127.0.0.1"], &authority);
        let (client, client_key) = signed("client", &[], &authority);
        let made = Self {
            authority: authority.pem(),
            client: client.pem(),
            client_key: client_key.serialize_pem(),
        };
        for (name, text) in [
            ("ca.pem", &made.authority),
            ("client.pem", &made.client),
            ("client.key", &made.client_key),
            ("server.pem", &server.pem()),
            ("server.key", &server_key.serialize_pem()),
        ] {
            fs::write(folder.join(name), text).expect("write a certificate");
        }
        made
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority of a test");
    let key = KeyPair::generate().expect("generate a key");
    CertifiedIssuer::self_signed(params, key).expect("sign a certificate")
}

fn signed(
    name: &str,
    hosts: &[&str],
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> (Certificate, KeyPair) {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("describe a certificate");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("generate a key");
    let certificate = params.signed_by(&key, authority);
    (certificate.expect("sign a certificate"), key)
}
