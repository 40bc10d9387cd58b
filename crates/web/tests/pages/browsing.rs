//! A server, and browsers that keep cookies, read forms, and follow nothing by themselves.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use latchkey_api::ApiState;
use latchkey_app::{
    Actor, App, AppConfig,
    bootstrap::bootstrap,
    sign_in::create_sign_in_link,
    tokens::{CreateToken, create_token},
    users::{CreateUser, create_user},
};
use latchkey_domain::Clock;
use latchkey_store::{DatabaseUrl, KeyRing, Store, StoreOptions};
use latchkey_testkit::{DatabaseKind, SeededRng, TestClock, TestDatabase};
use latchkey_web::{Site, WebState};
use secrecy::{ExposeSecret, SecretSlice};
use tower::ServiceExt;
use url::form_urlencoded;

pub const ORIGIN: &str = "https://latchkey.example.com";
pub const PASSWORD: &str = "canary correct horse";

/// Runs each test on both databases.
#[macro_export]
macro_rules! on_both_databases {
    ($(async fn $name:ident($server:ident) $body:block)*) => {$(
        async fn $name($server: $crate::browsing::Server) $body

        mod $name {
            use latchkey_testkit::DatabaseKind;

            use $crate::browsing::Server;

            #[tokio::test]
            async fn on_sqlite() {
                super::$name(Server::new(DatabaseKind::Sqlite).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                super::$name(Server::new(DatabaseKind::BOTH[1]).await).await;
            }
        }
    )*};
}

pub struct Server {
    pub app: App,
    pub clock: Arc<TestClock>,
    router: Router,
    _database: TestDatabase,
    _keys: tempfile::TempDir,
}

impl Server {
    pub async fn new(kind: DatabaseKind) -> Self {
        let database = TestDatabase::create(kind).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        let rng = Arc::new(SeededRng::default());
        let store = Store::open(StoreOptions {
            database: DatabaseUrl::parse(&database.url()).unwrap(),
            keys: KeyRing::open_or_create(keys.path(), rng.as_ref()).unwrap(),
            clock: clock.clone(),
            rng: rng.clone(),
            max_connections: 4,
        })
        .await
        .unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 8470));
        let config = AppConfig {
            version: "0.1.0".to_owned(),
            local_connector: false,
            listens: vec![listen],
            instance: "test".to_owned(),
        };
        let app = App::new(store, clock.clone(), rng, config);
        bootstrap(&app, person("ada")).await.unwrap();
        create_user(&app, &Actor::command_line(), person("ana")).await.unwrap();
        let site = Site::new(Some(ORIGIN), listen).unwrap();
        let pages = latchkey_web::router(WebState::new(app.clone(), site));
        let router = pages.fallback_service(latchkey_api::router(ApiState::new(app.clone())));
        Self { router, app, clock, _database: database, _keys: keys }
    }

    /// The same pages for people on this machine, without a public address.
    pub fn on_loopback(&mut self) {
        let site = Site::new(None, SocketAddr::from(([127, 0, 0, 1], 8470))).unwrap();
        self.router = latchkey_web::router(WebState::new(self.app.clone(), site));
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser {
            server: self,
            cookies: BTreeMap::new(),
            origin: ORIGIN.to_owned(),
            address: IpAddr::from([10, 0, 0, 1]),
        }
    }

    /// A browser in which somebody has signed in by a link.
    pub async fn signed_in(&self, name: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let path = self.link(name).await;
        let page = browser.get(&path).await;
        let fields = [("password", PASSWORD), ("password_again", PASSWORD)];
        browser.send(&path, &page, &fields).await.goes_to("/me");
        browser
    }

    /// The path of a link for somebody.
    pub async fn link(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        let made = create_sign_in_link(&self.app, &Actor::command_line(), &email).await.unwrap();
        format!("/sign-in/link/{}", made.token.expose_secret())
    }

    /// A token of somebody's.
    pub async fn token(&self, name: &str) -> String {
        let command =
            CreateToken { user: Some(format!("{name}@example.com")), ..CreateToken::default() };
        let made = create_token(&self.app, &Actor::command_line(), command).await.unwrap();
        made.token.expose_secret().to_owned()
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What an authenticator with this secret, in base 32, shows now.
    pub fn code(&self, secret: &str) -> String {
        let step = self.clock.now().as_second() / latchkey_identity::STEP_SEC;
        let code = latchkey_identity::totp_code(&read(secret), step).unwrap();
        code.expose_secret().to_owned()
    }

    pub async fn raw(&self, request: Request<Body>) -> Page {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: head.status, headers: head.headers, text }
    }
}

fn read(secret: &str) -> SecretSlice<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in secret.bytes() {
        let value = letters.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 5) | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    SecretSlice::from(bytes)
}

fn person(name: &str) -> CreateUser {
    CreateUser {
        email: format!("{name}@example.com"),
        first_name: name.to_owned(),
        ..CreateUser::default()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }

    /// Asserts that the browser is sent on.
    #[track_caller]
    pub fn goes_to(self, path: &str) {
        assert_eq!(self.status, 303, "{}", self.text);
        assert_eq!(self.headers[header::LOCATION], path);
    }

    #[track_caller]
    pub fn says(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "{words:?} is not in {}", self.text);
    }

    /// The first text between these two.
    pub fn between(&self, before: &str, after: &str) -> &str {
        let rest = self.text.split_once(before).unwrap_or_else(|| panic!("{}", self.text)).1;
        rest.split_once(after).unwrap().0
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        self.between(&format!("name=\"{name}\" value=\""), "\"").to_owned()
    }
}

/// A browser: it keeps cookies as it is told.
pub struct Browser<'a> {
    pub server: &'a Server,
    pub cookies: BTreeMap<String, String>,
    pub origin: String,
    pub address: IpAddr,
}

impl Browser<'_> {
    pub async fn get(&mut self, path: &str) -> Page {
        let request = Request::builder().uri(path).header(header::COOKIE, self.shown());
        self.keep(request.body(Body::empty()).unwrap()).await
    }

    /// Sends the form of a page.
    pub async fn send(&mut self, path: &str, page: &Page, fields: &[(&str, &str)]) -> Page {
        let token = page.hidden("form_token");
        let mut all = vec![("form_token", token.as_str())];
        all.extend(fields);
        self.post(path, &all).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header(header::COOKIE, self.shown())
            .header(header::ORIGIN, self.origin.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.keep(request.body(Body::from(body)).unwrap()).await
    }

    fn shown(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    async fn keep(&mut self, mut request: Request<Body>) -> Page {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((self.address, 4711))));
        let page = self.server.raw(request).await;
        for cookie in page.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }
}
