//! The mail server: SMTP with TLS.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Attachment, Mailbox, MultiPart, MultiPartKind, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::letter::{Letter, one_line};

/// How long one step of a conversation with the server may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest text of a failure that is kept, in characters.
const LONGEST_ERROR: usize = 300;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte (port 465).
    Tls,
    /// TLS after a greeting in the clear; refused if the server has none (port 587).
    StartTls,
    /// None: for a relay on this machine, or in a network of its own. No password is sent then,
    /// except to this machine.
    None,
}

/// Where mails go out.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// A certificate authority to trust beside those of the machine, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Who to log in as.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<SecretString>,
    /// The sender: `Latchkey <latchkey@example.com>`.
    pub from: String,
}

/// Why mails cannot be sent with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MailSetupError(String);

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may be taken later.
    Later(String),
    /// It never will be.
    Never(String),
}

/// A file that goes with a mail.
pub(super) struct Enclosed {
    pub(super) name: String,
    pub(super) media_type: &'static str,
    pub(super) content: Vec<u8>,
}

/// Sends mails.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from.email).finish_non_exhaustive()
    }
}

impl Mailer {
    /// A sender with this configuration.
    pub fn new(config: &MailConfig) -> Result<Self, MailSetupError> {
        let from: Mailbox = config.from.parse().map_err(|_| {
            MailSetupError(
                "mail_from is no sender; write latchkey@example.com, or \"Latchkey \
                 <latchkey@example.com>\""
                    .to_owned(),
            )
        })?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls(config)?)
            .timeout(Some(TIMEOUT))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            if config.tls == MailTls::None && !is_this_machine(&config.host) {
                return Err(MailSetupError(
                    "the password would travel in the clear; use smtp_tls = \"starttls\" or \
                     \"tls\", or leave smtp_user out"
                        .to_owned(),
                ));
            }
            let secret = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), secret));
        } else if config.user.is_some() || config.password.is_some() {
            return Err(MailSetupError(
                "smtp_user and smtp_password belong together; set both or neither".to_owned(),
            ));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Greets the server and logs in, without sending anything.
    pub async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it answers, and is not willing to take mails now".to_owned()),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// Sends one mail. `id` names the message: a repeat has the same, so that it can be told.
    pub(super) async fn send(
        &self,
        id: &str,
        (name, address): (&str, &str),
        letter: &Letter,
        enclosed: Option<Enclosed>,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let mail = self.write(id, (name, address), letter, enclosed, at)?;
        self.transport.send(mail).await.map(drop).map_err(|error| failure(&error))
    }

    fn write(
        &self,
        id: &str,
        (name, address): (&str, &str),
        letter: &Letter,
        enclosed: Option<Enclosed>,
        at: Timestamp,
    ) -> Result<Message, Failure> {
        let never = |what: &dyn fmt::Display| Failure::Never(one_line(&what.to_string(), 300));
        let address = address.parse().map_err(|error| never(&error))?;
        let name = Some(one_line(name, 100)).filter(|name| !name.is_empty());
        let to = Mailbox::new(name, address);
        let text = MultiPart::builder()
            .kind(MultiPartKind::Alternative)
            .boundary(format!("latchkey-text-{id}"))
            .singlepart(SinglePart::plain(letter.plain()))
            .singlepart(SinglePart::html(letter.html()));
        let body = match enclosed {
            None => text,
            Some(file) => {
                let kind = ContentType::parse(file.media_type).map_err(|error| never(&error))?;
                let file = Attachment::new(file.name).body(file.content, kind);
                MultiPart::builder()
                    .kind(MultiPartKind::Mixed)
                    .boundary(format!("latchkey-whole-{id}"))
                    .multipart(text)
                    .singlepart(file)
            }
        };
        // Out-of-office answers and mailing lists keep still at such mails (RFC 3834).
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&letter.subject, 200))
            .date(at.into())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(automatic)
            .multipart(body)
            .map_err(|error| never(&error))
    }
}

fn tls(config: &MailConfig) -> Result<Tls, MailSetupError> {
    if config.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(pem) = &config.ca_pem {
        let certificate = Certificate::from_pem(pem)
            .map_err(|_| MailSetupError("smtp_ca_file holds no certificate in PEM".to_owned()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters
        .build()
        .map_err(|error| MailSetupError(format!("TLS cannot be set up: {error}")))?;
    Ok(if config.tls == MailTls::Tls {
        Tls::Wrapper(parameters)
    } else {
        Tls::Required(parameters)
    })
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let words = in_words(error);
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    // Wrong credentials are mended by an Admin, and then the same mail is taken.
    let is_about_us = matches!(code.as_str(), "530" | "534" | "535" | "538" | "554");
    if error.is_permanent() && !is_about_us { Failure::Never(words) } else { Failure::Later(words) }
}

fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.iter().any(|word| word.contains(&said)) {
            words.push(said);
        }
        cause = error.source();
    }
    one_line(&words.join(": "), LONGEST_ERROR)
}
