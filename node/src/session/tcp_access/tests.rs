//! Which users are served over TCP, on a machine with a made-up user database.
#![allow(
    clippy::disallowed_methods,
    reason = "a client that resets its connection is none of ours"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use vineyard_wire::Request;
use vineyard_wire::request::GetName;

use super::*;
use crate::testing::{TestNode, with_env};

/// A machine that gives the same answer for every user, and counts the questions.
#[derive(Default)]
struct Says {
    may_connect: bool,
    fails: bool,
    asked: AtomicUsize,
}

impl Host for Says {
    fn hostname(&self) -> String {
        "test".to_owned()
    }

    fn open_fds_max(&self) -> u64 {
        1 << 16
    }

    fn open_fds(&self) -> u64 {
        0
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn may_connect(&self, _: User, _: &str) -> io::Result<bool> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.fails {
            true => Err(io::Error::other("no database")),
            false => Ok(self.may_connect),
        }
    }

    fn check_above(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn user_name(&self, _: User) -> Option<String> {
        Some("eve\u{1b}".to_owned())
    }
}

fn with_host(says: Says, open_to_anyone: bool, test: impl AsyncFnOnce(&TestNode)) {
    let config = |config| Config {
        rpc_open_to_anyone: open_to_anyone,
        ..config
    };
    let env = |env| Env {
        host: Arc::new(says),
        ..env
    };
    with_env(config, env, test);
}

/// Closing sends a reset at once.
const RESET: nix::libc::linger = nix::libc::linger {
    l_onoff: 1,
    l_linger: 0,
};
const REGISTER: &[u8] = br#"{"type":"register_request"}"#;

/// The node's answer to a second request after the register request was refused because of the user.
#[test]
fn a_user_that_may_not_open_the_socket_is_told_and_closed() {
    with_host(Says::default(), false, async |test_node| {
        let mut caller = test_node.rpc().await;
        let asked = Request::GetName(GetName {
            name: "n".to_owned(),
            wait: false,
            timeout_ms: None,
        });
        assert_eq!(caller.ask(&asked).await["code"], 1, "not registered");
        caller.send(REGISTER).await;
        caller.send(REGISTER).await;
        let reply = caller.reply().await.unwrap();
        assert_eq!(reply["code"], 34);
        let message = reply["message"].as_str().unwrap();
        assert!(message.contains("(eve"), "{message}");
        assert!(message.contains("--rpc-open-to-anyone"), "{message}");
        assert_eq!(caller.reply().await, None, "the second is not answered");
        drop(caller);
        let counters = &test_node.node.context.counters;
        while counters.unregistered.get() + counters.rpc_connections.get() > 0 {
            tokio::task::yield_now().await;
        }
        // Connections on the Unix socket are not checked here.
        let mut caller = test_node.ipc().await;
        caller.send(REGISTER).await;
        assert_eq!(caller.reply().await.unwrap()["type"], "register_reply");
    });
}

/// The kernel no longer knows the user of the connection, and the node logs nothing.
#[test]
fn a_connection_that_was_reset_is_dropped_without_a_log_line() {
    with_host(Says::default(), false, async |test_node| {
        let node = &test_node.node.context;
        let mut listener = node.env.network.listen("127.0.0.1:0").await.unwrap();
        let address = listener.address();
        let near = std::net::TcpStream::connect(&address).unwrap();
        let far = listener.accept().await.unwrap();
        nix::sys::socket::setsockopt(&near, nix::sys::socket::sockopt::Linger, &RESET).unwrap();
        drop(near);
        let access = node.tcp_access.as_ref().unwrap();
        let lost = access.judge(&node.bulk, far).await.err().unwrap();
        assert_eq!(lost.kind(), io::ErrorKind::NotConnected);
        assert!(access.told.borrow().is_empty());
    });
}

#[test]
fn a_user_that_cannot_be_determined_is_refused() {
    let fails = Says {
        fails: true,
        may_connect: true,
        ..Says::default()
    };
    with_host(fails, false, async |test_node| {
        let mut caller = test_node.rpc().await;
        caller.send(REGISTER).await;
        let reply = caller.reply().await.unwrap();
        let message = reply["message"].as_str().unwrap().to_owned();
        assert!(message.contains("no database"), "{message}");
    });
}

#[test]
fn a_user_that_may_open_the_socket_is_served_and_with_the_flag_any_caller() {
    let may = Says {
        may_connect: true,
        ..Says::default()
    };
    for (says, open_to_anyone) in [(may, false), (Says::default(), true)] {
        with_host(says, open_to_anyone, async |test_node| {
            let mut caller = test_node.rpc().await;
            caller.send(REGISTER).await;
            let reply = caller.reply().await.unwrap();
            assert_eq!(reply["type"], json!("register_reply"), "{reply}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_finding_is_reused_for_a_second() {
    let says = Arc::new(Says::default());
    let (questions, asked) = mpsc::channel(QUEUE);
    let thread = answer(says.clone(), "/s".to_owned(), asked);
    let ask = async |number| {
        let (answer, answered) = oneshot::channel();
        let user = User::Known(number);
        questions.send(Question { user, answer }).await.unwrap();
        answered.await.unwrap().unwrap();
        says.asked.load(Ordering::Relaxed)
    };
    let asks = async {
        assert_eq!(ask(1).await, 1);
        assert_eq!(ask(1).await, 1);
        assert_eq!(ask(2).await, 2);
        tokio::time::advance(FRESH).await;
        assert_eq!(ask(1).await, 3);
    };
    tokio::select! {
        biased;
        () = asks => {}
        () = thread => unreachable!("the questions are open"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_user_has_one_line_a_minute() {
    let (questions, _asked) = mpsc::channel(QUEUE);
    let access = TcpAccess {
        questions,
        deadline: FRESH,
        socket: "/s".to_owned(),
        told: RefCell::default(),
    };
    let counted = || {
        access
            .told
            .borrow()
            .values()
            .map(|told| told.since)
            .sum::<u64>()
    };
    for user in [Some(User::Known(1)), None] {
        for _ in 0..5 {
            access.note(user, "somewhere", "no");
        }
    }
    assert_eq!((access.told.borrow().len(), counted()), (2, 8));
    tokio::time::advance(LINE_EVERY).await;
    access.note(None, "somewhere", "no");
    assert_eq!(counted(), 4, "its count was told");
}
