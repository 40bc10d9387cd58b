//! The programs that recipes call. `latchkey` is the program under test; `curl` and `psql` are
//! played by clients of our own, so that the tests need neither on the machine and no command of
//! a page reaches anything but the server and the shop.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

use crate::caller::Caller;

/// What a command has come to.
#[derive(Debug)]
pub struct Outcome {
    /// What it printed.
    pub text: String,
    /// Whether it succeeded.
    pub is_success: bool,
    /// Whether running it again changes nothing, so that a reader would look again.
    pub is_look: bool,
}

/// `curl [-g] [-s] [-X METHOD] [-H HEADER]… [--json BODY] URL`.
pub async fn curl(words: &[String], server: &str, port: u16) -> Outcome {
    let (mut method, mut token, mut body, mut path) = (None, None, None, None);
    let takes_brackets = words.iter().any(|word| word == "-g");
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut argument = || rest.next().unwrap_or_else(|| panic!("{word} what? {words:?}"));
        match word.as_str() {
            "-g" | "-s" => {}
            "-X" => method = Some(argument().parse::<Method>().unwrap()),
            "-H" => {
                let header = argument();
                let bearer = header.strip_prefix("Authorization: Bearer ");
                token = Some(bearer.unwrap_or_else(|| panic!("unknown header {header}")));
            }
            "--json" => {
                let text = argument();
                let value = serde_json::from_str::<Value>(text);
                body = Some(value.unwrap_or_else(|error| panic!("{error}: {text}")));
            }
            url => {
                let here = url.strip_prefix(server);
                assert!(path.is_none() && here.is_some(), "unknown word {url}");
                assert!(takes_brackets || !url.contains(['[', ']', '{', '}']), "needs -g: {url}");
                path = here;
            }
        }
    }
    let default = if body.is_some() { Method::POST } else { Method::GET };
    let method = method.unwrap_or(default);
    let is_look = method == Method::GET;
    let caller = Caller::new(port, token);
    let (status, answer) = caller.call(method, path.unwrap(), body.as_ref()).await;
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    Outcome { text, is_success: (200..300).contains(&status), is_look }
}

/// `psql CONNINFO -tAc STATEMENT`.
pub async fn psql(words: &[String]) -> Outcome {
    let [place, flags, statement] = words else { panic!("psql CONNINFO -tAc SQL: {words:?}") };
    assert_eq!(flags, "-tAc");
    let known: BTreeMap<&str, &str> =
        place.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let said = |error: &tokio_postgres::Error| {
        error.as_db_error().map_or_else(
            || error.to_string(),
            |error| format!("{}:  {}", error.severity(), error.message()),
        )
    };
    let failed = |text| Outcome { text, is_success: false, is_look: true };
    let (client, connection) = match tokio_postgres::connect(place, tokio_postgres::NoTls).await {
        Ok(both) => both,
        Err(error) => {
            let (host, port) = (known["host"], known["port"]);
            let at = format!("connection to server at \"{host}\", port {port} failed");
            return failed(format!("psql: error: {at}: {}", said(&error)));
        }
    };
    tokio::spawn(connection);
    match client.simple_query(statement).await {
        Ok(messages) => {
            let lines: Vec<String> =
                messages.iter().filter_map(|one| line(one, statement)).collect();
            Outcome { text: lines.join("\n"), is_success: true, is_look: false }
        }
        Err(error) => failed(said(&error)),
    }
}

fn line(message: &tokio_postgres::SimpleQueryMessage, statement: &str) -> Option<String> {
    use tokio_postgres::SimpleQueryMessage::{CommandComplete, Row};
    match message {
        Row(row) => {
            let cells = (0..row.len()).map(|at| row.get(at).unwrap_or_default());
            Some(cells.collect::<Vec<_>>().join("|"))
        }
        CommandComplete(count) => match statement.split(' ').next()? {
            "INSERT" => Some(format!("INSERT 0 {count}")),
            word @ ("UPDATE" | "DELETE") => Some(format!("{word} {count}")),
            _ => None,
        },
        _ => None,
    }
}
