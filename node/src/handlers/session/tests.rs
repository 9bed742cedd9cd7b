//! Which clients may register, and the errors of the others.

use std::sync::Arc;

use serde_json::json;
use vineyard_client::{Client, Options};
use vineyard_wire::request::GetName;
use vineyard_wire::{Code, Request};

use crate::config::{Config, Limits, Passwords};
use crate::testing::{with_config, with_node};

/// The SHA-1 of "test".
const USERS: &str = "ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=";

fn guarded(config: Config) -> Config {
    let users = Passwords::parse("users".into(), USERS).unwrap();
    Config {
        passwords: Some(Arc::new(users)),
        ..config
    }
}

#[test]
fn a_wrong_password_is_refused_on_the_unix_socket_and_over_tcp_and_the_right_one_enters() {
    with_config(guarded, async |test_node| {
        let options = |username: &str, password: &str| {
            let mut options = Options::default();
            options.username = username.to_owned();
            options.password = password.to_owned();
            options
        };
        for (name, password) in [("ann", "wrong"), ("eve", "test"), ("", ""), ("ann", "")] {
            let options = options(name, password);
            let (socket, endpoint) = (test_node.socket(), test_node.node.endpoint());
            for refused in [
                Client::connect_ipc(socket, &options).await,
                Client::connect_rpc(endpoint, &options).await,
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.code(), Some(Code::ConnectionError), "{name}");
                assert!(error.to_string().contains("Incorrect username or password"));
            }
        }
        for client in test_node.clients(&options("ann", "test")).await {
            client.put_blob(b"in").await.unwrap();
        }
    });
}

#[test]
fn a_refused_client_may_send_nothing_but_another_register() {
    with_config(guarded, async |test_node| {
        for mut caller in test_node.callers().await {
            let register = |password: &str| {
                let register =
                    json!({"type": "register_request", "username": "ann", "password": password});
                register.to_string().into_bytes()
            };
            let asked = Request::GetName(GetName {
                name: "n".to_owned(),
                wait: false,
                timeout_ms: None,
            });
            caller.send(&register("wrong")).await;
            assert_eq!(caller.reply().await.unwrap()["code"], 34);
            assert_eq!(caller.ask(&asked).await["code"], 1, "not registered");
            caller.send(&register("test")).await;
            assert_eq!(caller.reply().await.unwrap()["type"], "register_reply");
            assert_eq!(caller.ask(&asked).await["code"], 12);
        }
    });
}

#[test]
fn a_connection_with_too_many_wrong_passwords_is_told_and_closed() {
    with_config(guarded, async |test_node| {
        let wrong = br#"{"type":"register_request","username":"ann","password":"wrong"}"#;
        for mut caller in test_node.callers().await {
            for _ in 0..Limits::default().wrong_passwords_max {
                caller.send(wrong).await;
                assert_eq!(caller.reply().await.unwrap()["code"], 34);
            }
            assert_eq!(caller.reply().await, None);
        }
    });
}

#[test]
fn features_are_told_to_clients_that_ask() {
    with_node(Limits::default(), async |test_node| {
        let mut caller = test_node.ipc().await;
        caller.send(br#"{"type":"register_request"}"#).await;
        assert_eq!(caller.reply().await.unwrap().get("features"), None);
        let asked = br#"{"type":"register_request","features":["objects","other"]}"#;
        caller.send(asked).await;
        assert_eq!(
            caller.reply().await.unwrap()["features"],
            json!(["objects"])
        );
        let asked = br#"{"type":"register_request","features":["fetch"]}"#;
        caller.send(asked).await;
        let reply = caller.reply().await.unwrap();
        assert_eq!(reply["features"], json!(["fetch"]));
        let limits = &test_node.node.context.config.limits;
        let copy = limits.transfer_deadline(test_node.node.context.config.size_bytes);
        let fetch = copy + 3 * limits.metadata_deadline;
        assert_eq!(reply["fetch_ms_max"], json!(fetch.as_millis() as u64));
    });
}
