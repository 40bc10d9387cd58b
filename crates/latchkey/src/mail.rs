//! What the configuration says about telling people.

use latchkey_app::notifications::{MailConfig, MailTls, Mailer, NotificationConfig};

use crate::{
    config::{Config, SmtpTls},
    fault::Fault,
};

/// How this process tells people; without `smtp_host` it mails nobody.
pub(crate) fn notifications(config: &Config) -> Result<NotificationConfig, Fault> {
    if let Some(url) = &config.public_url {
        let is_address = url::Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_address {
            return Err(Fault::new(
                "public_url is no address; write it like https://latchkey.example.com",
            ));
        }
    }
    Ok(NotificationConfig {
        mailer: mailer(config)?,
        public_url: config.public_url.clone(),
        ..NotificationConfig::default()
    })
}

/// The sender of mails, if there is a mail server.
pub(crate) fn mailer(config: &Config) -> Result<Option<Mailer>, Fault> {
    let Some(host) = config.smtp_host.clone().filter(|host| !host.is_empty()) else {
        return Ok(None);
    };
    let Some(from) = config.mail_from.clone() else {
        return Err(Fault::new(
            "smtp_host is set and mail_from is not; set it to the sender of mails, such as \
             \"Latchkey <latchkey@example.com>\"",
        ));
    };
    let (tls, usual_port) = match config.smtp_tls {
        SmtpTls::Tls => (MailTls::Tls, 465),
        SmtpTls::Starttls => (MailTls::StartTls, 587),
        SmtpTls::None => (MailTls::None, 25),
    };
    let ca_pem = match &config.smtp_ca_file {
        None => None,
        Some(file) => Some(std::fs::read(file).map_err(|error| {
            Fault::new(format!("smtp_ca_file {} cannot be read: {error}", file.display()))
        })?),
    };
    let mail = MailConfig {
        host,
        port: config.smtp_port.unwrap_or(usual_port),
        tls,
        ca_pem,
        user: config.smtp_user.clone(),
        password: config.smtp_password.as_ref().map(|hidden| hidden.secret().clone()),
        from,
    };
    Mailer::new(&mail).map(Some).map_err(|error| Fault::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config {
            smtp_host: Some("mail.example.com".to_owned()),
            mail_from: Some("latchkey@example.com".to_owned()),
            ..Config::default()
        };
        change(&mut config);
        notifications(&config).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_with_the_key_at_fault() {
        assert!(fault(|config| config.mail_from = None).contains("mail_from"));
        assert!(fault(|config| config.mail_from = Some("x".to_owned())).contains("mail_from"));
        assert!(fault(|config| config.smtp_user = Some("me".to_owned())).contains("smtp_password"));
        assert!(fault(|config| config.public_url = Some("x".to_owned())).contains("public_url"));
        let absent = |config: &mut Config| config.smtp_ca_file = Some("/nowhere".into());
        assert!(fault(absent).contains("smtp_ca_file"));
    }

    #[test]
    fn without_a_server_nobody_is_mailed() {
        assert!(notifications(&Config::default()).unwrap().mailer.is_none());
    }
}
