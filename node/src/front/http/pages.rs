//! What each HTTP request is answered: `/healthz`, `/readyz`, or a refusal that says why.
//!
//! It knows no node: what it needs it asks over a channel. `Host` must be an address or a name of this node. Otherwise
//! a web page could read a node on the loopback address of its visitor, by a name that its author points there.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::{mpsc, oneshot};
use vineyard_net::text;

use super::ready::{CHECKS, Check, Question};

/// The names by which this node may be asked, beside addresses and `localhost`.
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// `endpoint` is where the node says that it is.
    pub(super) fn new(endpoint: &str, others: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned(), without_port(endpoint).to_owned()];
        names.extend(others.iter().cloned());
        Self(names)
    }

    fn admit(&self, host: &str) -> bool {
        let host = without_port(host);
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if address.unwrap_or(host).parse::<IpAddr>().is_ok() {
            return true;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// `host:port` without the port. An IPv6 address stands in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => before,
        _ => host,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Page {
    Health,
    Ready { verbose: bool, without: Vec<String> },
}

/// A request that is not served.
#[derive(Debug, PartialEq, Eq)]
struct Refused(StatusCode, String);

/// Which page is asked for.
fn page(hosts: &Hosts, request: &Parts) -> Result<Page, Refused> {
    let refused = |status, reason: &str| Err(Refused(status, reason.to_owned()));
    let mut named = request.headers.get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        (None, _) if request.version == Version::HTTP_10 => "localhost",
        _ => return refused(StatusCode::BAD_REQUEST, "a request needs one Host"),
    };
    let asked = request.uri.authority().map(|authority| authority.as_str());
    if !hosts.admit(host) || asked.is_some_and(|asked| !hosts.admit(asked)) {
        let reason = "this node has no such name: ask by its address, or start it with --http-host";
        return refused(StatusCode::MISDIRECTED_REQUEST, reason);
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let reason = "nothing can be changed here: GET and HEAD alone";
        return refused(StatusCode::METHOD_NOT_ALLOWED, reason);
    }
    match request.uri.path() {
        "/healthz" => Ok(Page::Health),
        "/readyz" => ready(request.uri.query().unwrap_or_default()),
        _ => refused(StatusCode::NOT_FOUND, "there are /healthz and /readyz"),
    }
}

fn ready(query: &str) -> Result<Page, Refused> {
    let mut verbose = false;
    let mut without = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("verbose", _) => verbose = true,
            ("exclude", names) => without.extend(names.split(',').map(str::to_owned)),
            _ => {}
        }
    }
    match without.iter().find(|name| !CHECKS.contains(&name.as_str())) {
        Some(name) => {
            let known = CHECKS.join(", ");
            let reason = format!("there is no check {name:?}; there are {known}");
            Err(Refused(StatusCode::BAD_REQUEST, reason))
        }
        None => Ok(Page::Ready { verbose, without }),
    }
}

/// Answers requests.
pub(super) struct Pages {
    hosts: Hosts,
    questions: mpsc::Sender<Question>,
    /// How long the actor thread has for its answer.
    within: Duration,
}

impl Pages {
    pub(super) fn new(hosts: Hosts, questions: mpsc::Sender<Question>, within: Duration) -> Self {
        Self {
            hosts,
            questions,
            within,
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (request, _) = request.into_parts();
        match page(&self.hosts, &request) {
            Ok(Page::Health) => match self.ask(Question::Alive).await {
                Ok(()) => respond(StatusCode::OK, "ok\n".to_owned()),
                Err(reason) => respond(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            Ok(Page::Ready { verbose, without }) => match self.ask(Question::Ready).await {
                Ok(checks) => {
                    let counts = |check: &&Check| !without.iter().any(|name| name == check.name);
                    let counted: Vec<&Check> = checks.iter().filter(counts).collect();
                    let (status, text) = readiness(&counted, verbose);
                    respond(status, text)
                }
                Err(reason) => respond(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            Err(Refused(status, reason)) => {
                respond(status, format!("{}\n", text::printable(&reason)))
            }
        }
    }

    /// Asks the actor thread.
    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, String> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.questions.send(question(answer)).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(self.within, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the node stops\n".to_owned()),
            Err(_) => Err(format!(
                "the thread that serves requests did not answer within {} ms\n",
                self.within.as_millis()
            )),
        }
    }
}

/// The outcome of the checks, a line for each that failed, or for each.
fn readiness(checks: &[&Check], verbose: bool) -> (StatusCode, String) {
    let line = |check: &&Check| match &check.outcome {
        Ok(()) => verbose.then(|| format!("[+]{} ok\n", check.name)),
        Err(reason) => Some(format!("[-]{}: {}\n", check.name, text::printable(reason))),
    };
    let lines: String = checks.iter().filter_map(line).collect();
    match checks.iter().all(|check| check.outcome.is_ok()) {
        true => (StatusCode::OK, format!("{lines}ready\n")),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{lines}not ready\n"),
        ),
    }
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    };
    set(CONTENT_TYPE, "text/plain; charset=utf-8");
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(ALLOW, "GET, HEAD");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new("node-0.vineyard:9600", &["probe.example".to_owned()])
    }

    fn asked(method: &str, uri: &str, host: &[&str], version: Version) -> Result<Page, StatusCode> {
        let mut request = Request::builder().method(method).uri(uri).version(version);
        for host in host {
            request = request.header(HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        page(&hosts(), &parts).map_err(|Refused(status, _)| status)
    }

    fn get(uri: &str, host: &str) -> Result<Page, StatusCode> {
        asked("GET", uri, &[host], Version::HTTP_11)
    }

    #[test]
    fn this_nodes_names_and_addresses_are_served_and_no_others() {
        let own = [
            "127.0.0.1:9600",
            "10.1.2.3",
            "[::1]:9600",
            "[fe80::1]",
            "localhost",
            "LocalHost:1",
            "node-0.vineyard:9600",
            "node-0.vineyard.",
            "probe.example",
        ];
        for host in own {
            assert_eq!(get("/healthz", host), Ok(Page::Health), "{host}");
        }
        let foreign = [
            "evil.example",
            "evil.example:9600",
            "",
            "localhost.evil.example",
            "node-0",
            "127.0.0.1.evil.example",
            "[evil]:9600",
        ];
        for host in foreign {
            let refused = get("/healthz", host);
            assert_eq!(refused, Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        let absolute = get("http://evil.example/healthz", "localhost");
        assert_eq!(absolute, Err(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn a_request_has_one_host_unless_it_is_of_http_1_0() {
        let without = asked("GET", "/healthz", &[], Version::HTTP_11);
        assert_eq!(without, Err(StatusCode::BAD_REQUEST));
        let two = asked(
            "GET",
            "/healthz",
            &["localhost", "localhost"],
            Version::HTTP_11,
        );
        assert_eq!(two, Err(StatusCode::BAD_REQUEST));
        let old = asked("GET", "/healthz", &[], Version::HTTP_10);
        assert_eq!(old, Ok(Page::Health));
    }

    #[test]
    fn only_what_changes_nothing_is_served() {
        assert_eq!(
            asked("HEAD", "/healthz", &["localhost"], Version::HTTP_11),
            Ok(Page::Health)
        );
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = asked(method, "/healthz", &["localhost"], Version::HTTP_11);
            assert_eq!(refused, Err(StatusCode::METHOD_NOT_ALLOWED), "{method}");
        }
        assert_eq!(get("/", "localhost"), Err(StatusCode::NOT_FOUND));
    }

    #[test]
    fn checks_are_left_out_by_name() {
        let page = get(
            "/readyz?verbose&exclude=quorum,disk&exclude=raft&other=1",
            "localhost",
        );
        let without = ["quorum", "disk", "raft"].map(str::to_owned).to_vec();
        assert_eq!(
            page,
            Ok(Page::Ready {
                verbose: true,
                without
            })
        );
        assert_eq!(
            get("/readyz?exclude=quorm", "localhost"),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn a_failed_check_is_named_with_its_reason() {
        let good = Check {
            name: "joined",
            outcome: Ok(()),
        };
        let bad = Check {
            name: "quorum",
            outcome: Err("alone\n".to_owned()),
        };
        let (status, text) = readiness(&[&good], false);
        assert_eq!((status, text.as_str()), (StatusCode::OK, "ready\n"));
        let (status, text) = readiness(&[&good, &bad], true);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "[+]joined ok\n[-]quorum: alone\\u{a}\nnot ready\n");
    }
}
