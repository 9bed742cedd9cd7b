//! A whole node with too many callers, slow callers, and callers that ask for too much.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::LocalBoxFuture;
use vineyard_wire::peer::MAGIC;
use vineyard_wire::{ObjectId, Request};

use super::*;
use crate::config::{Join, Limits, Listen};
use crate::peer::stats;
use crate::testing::{Caller, TestNode, with_node};

fn is_told(reply: Option<Value>, reason: &str) {
    let reply = reply.expect("a reason before the end");
    let message = reply["message"].as_str().unwrap_or_default();
    assert!(message.contains(reason), "{reply}");
    assert!(reply["code"].as_u64() > Some(0), "{reply}");
}

/// Waits until the node's counters show what a caller did.
async fn until(test_node: &TestNode, what: &str, holds: impl Fn(&Counters) -> bool) {
    let counters = &test_node.node.context.counters;
    for _ in 0..1000 {
        if holds(counters) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[test]
fn the_oldest_of_too_many_silent_connections_is_told_and_closed() {
    let limits = Limits {
        unregistered_max: 3,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let mut client = test_node.rpc().await;
        client.register().await;
        let mut crowd = Vec::new();
        for present in 1..4 {
            crowd.push(test_node.rpc().await);
            until(test_node, "one more", |counters| {
                counters.unregistered.get() == present
            })
            .await;
        }
        // A client sends its first bytes at once, so it is served although the silent connections stay open.
        test_node.rpc().await.register().await;
        let oldest = &mut crowd[0];
        is_told(oldest.reply().await, "said nothing for the longest time");
        assert_eq!(oldest.reply().await, None);
        let mut local = test_node.ipc().await;
        local.register().await;
        client.register().await;
    });
}

#[test]
fn the_oldest_of_too_many_unfinished_handshakes_is_closed() {
    let limits = Limits {
        unregistered_max: 3,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let mut crowd = Vec::new();
        for present in 1..4 {
            let mut stranger = test_node.rpc().await;
            stranger.stream.write_all(&MAGIC).await.unwrap();
            crowd.push(stranger);
            until(test_node, "one more", |counters| {
                counters.unregistered.get() == present
            })
            .await;
        }
        test_node.rpc().await.register().await;
        assert_eq!(crowd[0].reply().await, None, "it made room");
    });
}

#[test]
fn clients_that_do_not_register_are_bounded_and_told_so() {
    let limits = Limits {
        unregistered_max: 3,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let mut client = test_node.rpc().await;
        client.register().await;
        let mut crowd = Vec::new();
        for _ in 0..3 {
            let mut stranger = test_node.rpc().await;
            stranger.send_half().await;
            crowd.push(stranger);
        }
        until(test_node, "three in", |counters| {
            counters.unregistered_clients.get() == 3
        })
        .await;
        let mut refused = test_node.rpc().await;
        refused.send(b"{}").await;
        let reason = "3 clients over TCP that have not registered";
        is_told(refused.reply().await, reason);
        client.register().await;
        drop(crowd);
        until(test_node, "the crowd left", |counters| {
            counters.unregistered_clients.get() == 0
        })
        .await;
        test_node.rpc().await.register().await;
    });
}

#[test]
fn refusals_beyond_their_limit_are_closed_without_a_reason() {
    let limits = Limits {
        ipc_connections_max: 0,
        refusals_max: 0,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        assert_eq!(test_node.ipc().await.reply().await, None);
    });
}

#[test]
fn each_kind_of_client_has_its_own_limit() {
    let limits = Limits {
        ipc_connections_max: 1,
        rpc_connections_max: 1,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        type Dial = for<'a> fn(&'a TestNode) -> LocalBoxFuture<'a, Caller>;
        let dials: [(Dial, &str); 2] = [
            (
                |test_node| Box::pin(test_node.ipc()),
                "1 connections on the Unix socket",
            ),
            (|test_node| Box::pin(test_node.rpc()), "1 clients over TCP"),
        ];
        for (dial, reason) in dials {
            let mut first = dial(test_node).await;
            first.register().await;
            let mut second = dial(test_node).await;
            // Over TCP the node reads the caller's first bytes before it counts the connection as a client's.
            second.send(b"{}").await;
            is_told(second.reply().await, reason);
            drop(first);
            until(test_node, "room", |counters| {
                counters.ipc_connections.get() + counters.rpc_connections.get() == 0
            })
            .await;
            dial(test_node).await.register().await;
        }
    });
}

#[test]
fn a_connection_that_does_not_register_in_time_is_told_and_closed() {
    let limits = Limits {
        register_deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let mut callers = test_node.callers().await;
        for caller in &mut callers {
            caller.send_half().await;
        }
        for caller in &mut callers {
            is_told(caller.reply().await, "no register_request in time");
            assert_eq!(caller.reply().await, None);
        }
        let mut silent = test_node.rpc().await;
        assert_eq!(silent.reply().await, None);
        for dial in 0..2 {
            let mut caller = match dial {
                0 => test_node.ipc().await,
                _ => test_node.rpc().await,
            };
            caller.register().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            caller.register().await;
        }
    });
}

#[test]
fn only_the_registered_may_send_long_frames() {
    let limits = Limits {
        unregistered_frame_bytes_max: 1000,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        for mut caller in test_node.callers().await {
            caller.send(&[b' '; 1001]).await;
            is_told(caller.reply().await, "1001");
            assert_eq!(caller.reply().await, None);
        }
        for mut caller in test_node.callers().await {
            caller.register().await;
            caller.send(&[b' '; 1001]).await;
            is_told(caller.reply().await, "");
            caller.register().await;
        }
    });
}

#[test]
fn waiting_requests_are_limited() {
    let limits = Limits {
        waiting_max: 1,
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let [mut first, mut second] = test_node.callers().await;
        first.register().await;
        second.register().await;
        first.wait_for_ever().await;
        until(test_node, "one waits", |counters| {
            counters.waiting.get() == 1
        })
        .await;
        second.wait_for_ever().await;
        is_told(second.reply().await, "1 requests wait");
        drop(first);
        until(test_node, "none waits", |counters| {
            counters.waiting.get() == 0
        })
        .await;
    });
}

#[test]
fn a_stop_ends_waiting_requests_at_once_with_a_reason() {
    let mut told = None;
    with_node(Limits::default(), async |test_node| {
        let [mut first, mut second] = test_node.callers().await;
        first.register().await;
        second.register().await;
        first.wait_for_ever().await;
        second.wait_for_ever().await;
        until(test_node, "both wait", |counters| {
            counters.waiting.get() == 2
        })
        .await;
        told = Some(tokio::task::spawn_local(async move {
            (
                first.reply().await,
                second.reply().await,
                first.reply().await,
            )
        }));
        let began = tokio::time::Instant::now();
        test_node.node.context.stopping.begin();
        let (first, second, end) = told.take().expect("just put").await.unwrap();
        is_told(first, "this node stops");
        is_told(second, "this node stops");
        assert_eq!(end, None);
        assert!(began.elapsed() < Limits::default().stop_deadline);
    });
}

#[test]
fn a_session_that_ends_releases_its_references_and_a_reader_holds_nothing() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let references = async || stats::here(node).await.unwrap().references;
        let own = node.own_holder;
        let made = node.local.ask(move |local, _| {
            let store = &mut local.store;
            let blob = store.create(own, 5)?;
            store.seal(own, blob.id)?;
            store.release(own, blob.id)?;
            Ok::<ObjectId, vineyard_store::Error>(blob.id)
        });
        let blob = made.await.unwrap().unwrap();
        let mut caller = test_node.rpc().await;
        caller.register().await;
        let read = Request::GetRemoteBuffers {
            ids: vec![blob],
            unsafe_: false,
            compress: false,
        };
        assert_eq!(caller.ask(&read).await["type"], "get_buffers_reply");
        caller.stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(references().await, 0);
        let hold = Request::IncreaseReferenceCount { ids: vec![blob] };
        caller.ask(&hold).await;
        assert_eq!(references().await, 1);
        assert_eq!(caller.ask(&read).await["type"], "get_buffers_reply");
        caller.stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(references().await, 1, "a read gives back only what it took");
        drop(caller);
        until(test_node, "gone", |counters| {
            counters.rpc_connections.get() == 0
        })
        .await;
        tokio::task::yield_now().await;
        assert_eq!(references().await, 0);
    });
}

#[test]
fn a_mistyped_token_ends_the_start_and_leaves_nothing_behind() {
    with_node(Limits::default(), async |test_node| {
        let folder = tempfile::tempdir().unwrap();
        let token = test_node.node.token();
        let config = |token: &Token| Config {
            listen: Listen::At("127.0.0.1:0".to_owned()),
            size_bytes: 1 << 20,
            join: Some(Join {
                endpoints: vec![test_node.node.endpoint().to_owned()],
                token: token.to_string(),
            }),
            limits: Limits {
                unknown_secret_retried: Duration::ZERO,
                ..Limits::default()
            },
            ..Config::new(
                folder.path().join("data"),
                folder.path().join("sock").display().to_string(),
            )
        };
        let env = crate::system::env(&config(&token).data_dir).unwrap();
        let mut mistyped = token.clone();
        mistyped.secret[0] ^= 1;
        let refused = Node::start(config(&mistyped), env.clone()).await;
        assert!(matches!(refused.err(), Some(Error::Refused { .. })));
        let joined = Node::start(config(&token), env.clone()).await.unwrap();
        assert_eq!(joined.token(), token);
        joined.stop().await;
        // The node belongs to a cluster now, so another token changes nothing.
        let again = Node::start(config(&mistyped), env).await.unwrap();
        assert_eq!(again.token(), token);
        again.stop().await;
    });
}
