//! TLS to a server: rustls with ring. `verify-full` proves who answers; `prefer` and `require`
//! encrypt only, as in libpq, and `validate` says so.

use std::sync::Arc;

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Settings, TlsMode};

/// What the driver needs to speak TLS.
pub(super) fn connector(settings: &Settings) -> Result<MakeRustlsConnect, TargetFault> {
    let refused = |message: String| TargetFault::new(FaultClass::Refused, message);
    if settings.tls == TlsMode::VerifyFull && settings.root_certificates.is_none() {
        // The public authorities come with the connector, which takes the process's provider; an
        // earlier one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        return Ok(MakeRustlsConnect::with_webpki_roots());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(format!("TLS cannot be set up: {error}")))?;
    let config = if settings.tls == TlsMode::VerifyFull {
        let mut roots = rustls::RootCertStore::empty();
        let pem = settings.root_certificates.as_deref().unwrap_or_default();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate =
                certificate.map_err(|error| refused(format!("sslrootcert is not PEM: {error}")))?;
            roots.add(certificate).map_err(|error| refused(format!("sslrootcert: {error}")))?;
        }
        if roots.is_empty() {
            return Err(refused("sslrootcert holds no certificate".to_owned()));
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unproven(provider)))
            .with_no_client_auth()
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Takes any certificate whose key signed the handshake.
#[derive(Debug)]
struct Unproven(Arc<CryptoProvider>);

impl ServerCertVerifier for Unproven {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
