//! A mail server: `aiosmtpd` from Python's packages, with a password, and TLS where it is asked
//! for. What it takes can be read back.

use std::{net::TcpStream, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    free_port,
    install::{find_program, install_debian_packages, python_environment},
    process::{run, wait_until},
    program::Program,
};

const SCRIPT: &str = include_str!("mail/server.py");
const START_LIMIT: Duration = Duration::from_secs(30);

/// How its connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailProtection {
    /// Not at all.
    None,
    /// By TLS that the client asks for after the greeting; nothing else is served before.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

/// A mail that was taken.
#[derive(Debug, Clone, Deserialize)]
pub struct TakenMail {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Whether it came over TLS that began after the greeting.
    pub encrypted: bool,
    /// Headers and body as they came.
    pub content: String,
}

/// A running mail server; it ends with this value.
#[derive(Debug)]
pub struct MailServer {
    program: Program,
    folder: tempfile::TempDir,
    port: u16,
}

impl MailServer {
    /// Who may send.
    pub const USER: &'static str = "latchkey";
    /// With which password.
    pub const PASSWORD: &'static str = "canary-of-the-mail-server";

    /// Starts a server on a free loopback port.
    pub fn start(protection: MailProtection) -> Result<Self> {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/requirements.txt");
        let python = python_environment("mail-server", &requirements)?;
        let folder = tempfile::tempdir()?;
        let word = match protection {
            MailProtection::None => "none",
            MailProtection::StartTls => "starttls",
            MailProtection::Tls => "tls",
        };
        if protection != MailProtection::None {
            make_certificates(folder.path())?;
        }
        let script = folder.path().join("server.py");
        std::fs::write(&script, SCRIPT)?;
        let log = folder.path().join("log");
        // Another process may take the free port first.
        for _ in 0..5 {
            let port = free_port()?;
            let mut command = Command::new(&python);
            command.arg(&script).arg(port.to_string()).arg(folder.path());
            command.args([word, Self::USER, Self::PASSWORD]);
            let mut program = Program::start(&mut command, &log)?;
            let answers = wait_until(START_LIMIT, || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
                    || program.ended().is_ok_and(|end| end.is_some())
            });
            if answers && program.ended()?.is_none() {
                return Ok(Self { program, folder, port });
            }
        }
        bail!("the mail server did not start:\n{}", std::fs::read_to_string(&log)?)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that signed its certificate, in PEM.
    pub fn authority(&self) -> Result<Vec<u8>> {
        std::fs::read(self.folder.path().join("ca.crt")).context("it has no certificate")
    }

    /// What it has taken so far, oldest first.
    pub fn mails(&self) -> Result<Vec<TakenMail>> {
        let text = match std::fs::read_to_string(self.folder.path().join("mails")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.program.log()
    }
}

/// An authority and a certificate for `localhost`, signed by it.
fn make_certificates(folder: &Path) -> Result<()> {
    if find_program("openssl").is_none() {
        install_debian_packages(&["openssl"])?;
    }
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("names"), names)?;
    for arguments in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.crt",
    ] {
        let mut openssl = Command::new("openssl");
        run(openssl.args(arguments.split(' ')).current_dir(folder), "making a certificate")?;
    }
    Ok(())
}
