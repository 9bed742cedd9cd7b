//! The order in which logins are checked, and how long they wait.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;

use tokio::task::LocalSet;
use vineyard_env::Main;

use super::*;

/// The SHA-1 of "test".
const USERS: &str = "bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=";
const DEADLINE: Duration = Duration::from_secs(5);

/// Keeps the thread's body, so that a test runs it later.
#[derive(Default)]
struct Later(Mutex<Option<Main>>);

impl Threads for Later {
    fn start(&self, name: &str, main: Main) {
        assert_eq!(name, "logins");
        *self.0.lock().unwrap() = Some(main);
    }
}

impl Later {
    fn run(&self) {
        let main = self.0.lock().unwrap().take().expect("it was started");
        tokio::task::spawn_local(main());
    }
}

fn start(threads: &Later) -> Logins {
    let users = Passwords::parse("users".into(), USERS).unwrap();
    Logins::start(threads, Arc::new(users), DEADLINE)
}

async fn ask(logins: &Logins, kind: Kind, password: &str) -> Result<bool, Status> {
    let name = "bob".to_owned();
    logins.admits(kind, name, password.to_owned()).await
}

#[tokio::test]
async fn a_password_is_right_or_wrong_over_either_kind_of_connection() {
    let test = async {
        let threads = Later::default();
        let logins = start(&threads);
        threads.run();
        for kind in [Kind::Ipc, Kind::Rpc] {
            assert_eq!(ask(&logins, kind, "test").await, Ok(true));
            assert_eq!(ask(&logins, kind, "guess").await, Ok(false));
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn logins_over_tcp_do_not_delay_those_over_the_unix_socket() {
    let test = async {
        let threads = Later::default();
        let logins = start(&threads);
        let (logins, order) = (Rc::new(logins), Rc::new(RefCell::new(Vec::new())));
        let login = |kind, password: &'static str| {
            let (logins, order) = (logins.clone(), order.clone());
            tokio::task::spawn_local(async move {
                ask(&logins, kind, password).await.unwrap();
                order.borrow_mut().push(password);
            })
        };
        let waiting = [
            login(Kind::Rpc, "guess"),
            login(Kind::Rpc, "another"),
            login(Kind::Ipc, "test"),
        ];
        tokio::task::yield_now().await;
        threads.run();
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(order.take(), ["test", "guess", "another"]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_not_checked_in_time_is_refused() {
    let threads = Later::default();
    let logins = start(&threads);
    let begun = tokio::time::Instant::now();
    let login = || ask(&logins, Kind::Rpc, "test");
    let (first, second) = tokio::join!(login(), login());
    for refused in [first, second] {
        assert_eq!(refused.unwrap_err().code, Code::VineyardServerNotReady);
    }
    assert_eq!(begun.elapsed(), DEADLINE);
}

#[tokio::test]
async fn a_thread_that_stopped_is_an_error_and_not_a_hang() {
    let threads = Later::default();
    let logins = start(&threads);
    drop(threads);
    let refused = ask(&logins, Kind::Ipc, "test").await.unwrap_err();
    assert_eq!(refused.code, Code::VineyardServerNotReady);
}
