//! TLS of the doors, and of the mailboxes that the bridge reads. Certificates are reloaded by swapping what new handshakes use; connections
//! that stand go on.

use arc_swap::ArcSwapOption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// What the next handshake uses; empty: no TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsSlot(Arc<ArcSwapOption<ServerConfig>>);

impl TlsSlot {
    /// A slot with TLS in force.
    pub fn with(config: ServerConfig) -> TlsSlot {
        TlsSlot(Arc::new(ArcSwapOption::from_pointee(config)))
    }

    /// Puts a new certificate in force.
    pub fn replace(&self, config: Option<ServerConfig>) {
        self.0.store(config.map(Arc::new));
    }

    /// What is in force.
    pub fn current(&self) -> Option<Arc<ServerConfig>> {
        self.0.load_full()
    }
}

/// Why TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A PEM text without what it should hold.
    #[error("no usable {what} in the PEM text: {reason}")]
    Pem {
        /// Certificate, private key, client roots.
        what: &'static str,
        /// What was found.
        reason: String,
    },
    /// Certificate and key do not go together, or the key is of an unknown kind.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(String),
}

/// The server's side from PEM texts. With `client_roots`, a client may show a certificate; one
/// that these roots did not sign ends the handshake.
pub fn server_config(
    certificates: &[u8],
    key: &[u8],
    client_roots: Option<&[u8]>,
) -> Result<ServerConfig, TlsError> {
    let chain = read_certificates(certificates, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Pem {
        what: "private key",
        reason: error.to_string(),
    })?;
    let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for root in read_certificates(pem, "client roots")? {
                roots.add(root).map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))
}

/// The client's side: the system's roots, and those of a PEM file. Reads files.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
    let mut roots = RootCertStore::empty();
    // A root that cannot be read is one that nobody is trusted by.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| unusable(&format!("{}: {error}", path.display())))?;
        for root in read_certificates(&pem, "certificate authority")? {
            roots.add(root).map_err(|error| unusable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read_certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::Pem { what, reason };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if chain.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(chain)
}

/// What a client's certificate says of it. Whose it is was proven by the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its [`fingerprint`].
    pub sha256: String,
    /// The common names of its subject, and its DNS names.
    pub names: Vec<String>,
}

impl ClientCertificate {
    /// From its DER bytes; one that cannot be read has no names.
    pub fn of(der: &[u8]) -> ClientCertificate {
        ClientCertificate {
            sha256: fingerprint(der),
            names: names(der),
        }
    }
}

fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else {
        return Vec::new();
    };
    let common = certificate.subject().iter_common_name();
    let mut names: Vec<String> = common
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect();
    let others = certificate.subject_alternative_name().ok().flatten();
    for other in others.iter().flat_map(|others| &others.value.general_names) {
        if let x509_parser::extensions::GeneralName::DNSName(name) = other {
            names.push((*name).to_owned());
        }
    }
    names
}

/// The fingerprint of a certificate: SHA-256 of its DER bytes in lower case digits.
pub fn fingerprint(der: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(der)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_is_missing() {
        let error = server_config(b"", b"", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no usable certificate in the PEM text: it holds no certificate"
        );
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let error = server_config(certificate.as_bytes(), b"", None).unwrap_err();
        assert!(error.to_string().starts_with("no usable private key"));
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let error = server_config(certificate.as_bytes(), other.as_bytes(), None).unwrap_err();
        assert!(matches!(error, TlsError::Unusable(_)), "{error}");
        let key = made.signing_key.serialize_pem();
        server_config(
            certificate.as_bytes(),
            key.as_bytes(),
            Some(certificate.as_bytes()),
        )
        .unwrap();
    }
}
