//! The client's side of TLS, for tests of doors with a certificate of their own.
#![allow(dead_code, clippy::unwrap_used)]

use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// A client that trusts one certificate; with one of its own or none.
pub fn trusting(
    certificate: &[u8],
) -> rustls::ConfigBuilder<rustls::ClientConfig, WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from(certificate.to_vec()))
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}
